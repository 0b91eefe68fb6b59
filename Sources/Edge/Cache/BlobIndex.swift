// SPDX-License-Identifier: Apache-2.0

import OCI

/// The blobs in the cache, by digest, in at most 100 bytes each: a million of them are held in memory.
///
/// Entries of 64 bytes lie in one array and keep their number while they live; the hash table holds numbers only, with
/// linear probing. A dictionary of digests would need two to three times as much.
struct BlobIndex: Sendable {
    /// The number of an entry; valid until that entry is removed.
    typealias Handle = UInt32
    static let none: Handle = .max

    struct Entry: Sendable {
        /// The first 32 bytes of the digest: all of a sha256.
        fileprivate var word0: UInt64 = 0
        fileprivate var word1: UInt64 = 0
        fileprivate var word2: UInt64 = 0
        fileprivate var word3: UInt64 = 0
        var sizeBytes: Int64 = 0
        /// Bytes of the blob that are on disk.
        var storedBytes: Int64 = 0
        var newer: Handle = none
        var older: Handle = none
        fileprivate var isSHA512 = false
        fileprivate var isUsed = false
        var isComplete = false
        var isPinned = false
    }

    private var entries: [Entry] = []
    private var free: [Handle] = []
    /// Handles, or `none`; a power of two of them, at most three quarters in use.
    private var buckets: [Handle] = Array(repeating: none, count: 16)
    /// The other 32 bytes of sha512 digests, which are rare.
    private var tails: [Handle: [UInt8]] = [:]
    private(set) var count = 0

    /// What the arrays take, reserved room included.
    var memoryBytes: Int {
        entries.capacity * MemoryLayout<Entry>.stride + (buckets.capacity + free.capacity) * MemoryLayout<Handle>.stride
    }

    subscript(handle: Handle) -> Entry {
        get { entries[Int(handle)] }
        set { entries[Int(handle)] = newValue }
    }

    func find(_ digest: Digest) -> Handle? {
        let key = Entry(digest)
        var bucket = home(of: key)
        while buckets[bucket] != Self.none {
            if entries[Int(buckets[bucket])].hasDigest(of: key) { return buckets[bucket] }
            bucket = (bucket + 1) & (buckets.count - 1)
        }
        return nil
    }

    /// - Precondition: The digest is not in the index.
    mutating func insert(_ name: BlobName) -> Handle {
        if (count + 1) * 4 > buckets.count * 3 { rehash(bucketCount: buckets.count * 2) }
        var entry = Entry(name.digest)
        entry.sizeBytes = name.sizeBytes
        entry.isUsed = true
        let handle: Handle
        if let reused = free.popLast() {
            handle = reused
            entries[Int(handle)] = entry
        } else {
            // Doubling, as arrays do, would cost up to twice the memory.
            if entries.count == entries.capacity { entries.reserveCapacity(entries.count + entries.count / 4 + 16) }
            handle = Handle(entries.count)
            entries.append(entry)
        }
        if entry.isSHA512 { tails[handle] = Array(name.digest.bytes.dropFirst(32)) }
        place(handle)
        count += 1
        return handle
    }

    mutating func remove(_ handle: Handle) {
        guard
            var hole = buckets.indices(probingFrom: home(of: entries[Int(handle)])).first(where: {
                buckets[$0] == handle
            })
        else { preconditionFailure("an entry is reachable from its home bucket") }
        // Moves later entries of the same run back, so that no bucket on anybody's way is empty.
        var next = (hole + 1) & (buckets.count - 1)
        while buckets[next] != Self.none {
            let home = home(of: entries[Int(buckets[next])])
            if (next &- home) & (buckets.count - 1) >= (next &- hole) & (buckets.count - 1) {
                buckets[hole] = buckets[next]
                hole = next
            }
            next = (next + 1) & (buckets.count - 1)
        }
        buckets[hole] = Self.none
        entries[Int(handle)] = Entry()
        tails[handle] = nil
        free.append(handle)
        count -= 1
    }

    func name(of handle: Handle) -> BlobName {
        let entry = entries[Int(handle)]
        let head = entry.digestHead
        let algorithm: DigestAlgorithm = entry.isSHA512 ? .sha512 : .sha256
        guard let digest = Digest(algorithm: algorithm, bytes: head + (tails[handle] ?? [])) else {
            preconditionFailure("an entry holds the bytes of a digest")
        }
        return BlobName(digest: digest, sizeBytes: entry.sizeBytes)
    }

    /// Digests are uniform, so their first bytes are as good as a hash of them; whoever could choose digests to
    /// collide here would have to find many with 40 equal bits that the origin holds.
    private func home(of entry: Entry) -> Int { Int(truncatingIfNeeded: entry.word0 >> 16) & (buckets.count - 1) }

    private mutating func place(_ handle: Handle) {
        var bucket = home(of: entries[Int(handle)])
        while buckets[bucket] != Self.none { bucket = (bucket + 1) & (buckets.count - 1) }
        buckets[bucket] = handle
    }

    private mutating func rehash(bucketCount: Int) {
        buckets = Array(repeating: Self.none, count: bucketCount)
        for (number, entry) in entries.enumerated() where entry.isUsed { place(Handle(number)) }
    }
}

extension BlobIndex.Entry {
    fileprivate init(_ digest: Digest) {
        let bytes = digest.bytes
        word0 = Self.word(bytes, 0)
        word1 = Self.word(bytes, 1)
        word2 = Self.word(bytes, 2)
        word3 = Self.word(bytes, 3)
        isSHA512 = digest.algorithm == .sha512
    }

    private static func word(_ bytes: [UInt8], _ number: Int) -> UInt64 {
        bytes[number * 8..<number * 8 + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    fileprivate var digestHead: [UInt8] {
        [word0, word1, word2, word3].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
        }
    }

    /// Two sha512 digests with 32 equal bytes do not exist by chance.
    fileprivate func hasDigest(of other: Self) -> Bool {
        word0 == other.word0 && word1 == other.word1 && word2 == other.word2 && word3 == other.word3
            && isSHA512 == other.isSHA512
    }
}

extension [BlobIndex.Handle] {
    /// All buckets, from `start` on and around the end.
    fileprivate func indices(probingFrom start: Int) -> some Sequence<Int> {
        let mask = count - 1
        return (0..<count).lazy.map { (start + $0) & mask }
    }
}
