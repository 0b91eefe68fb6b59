// SPDX-License-Identifier: Apache-2.0

import OCI

/// The blobs in the cache, by digest, in at most 75 bytes each: a million of them are held in memory.
///
/// Entries of 64 bytes lie in blocks that never move, so an entry keeps its number while it lives and growing copies
/// nothing. The hash table holds numbers only, with linear probing, in 256 shards that grow one by one: requests wait
/// for this index, and one table of a million would take a tenth of a second to grow. A dictionary of digests would need
/// two to three times as much memory.
struct BlobIndex: Sendable {
    /// The number of an entry; valid until that entry is removed.
    typealias Handle = UInt32
    static let none: Handle = .max

    /// Which queue an entry is in.
    enum Segment: UInt8, Sendable {
        /// The entry is not in use.
        case unused
        case small
        case main
        case transit
    }

    struct Entry: Sendable {
        /// The first 32 bytes of the digest: all of a sha256.
        fileprivate(set) var word0: UInt64 = 0
        fileprivate var word1: UInt64 = 0
        fileprivate var word2: UInt64 = 0
        fileprivate var word3: UInt64 = 0
        var sizeBytes: Int64 = 0
        /// Bytes of the blob that are on disk.
        var storedBytes: Int64 = 0
        var newer: Handle = none
        var older: Handle = none
        /// Larger means linked into its queue later; 0 is an entry that lies where a start put it.
        var order: UInt32 = 0
        var segment = Segment.unused
        /// Uses since it came or was last spared, 0 to 3.
        var frequency: UInt8 = 0
        var isPinned = false
        fileprivate var isSHA512 = false
    }

    private struct Shard: Sendable {
        /// Handles, or `none`; a power of two of them, at most three quarters in use.
        var buckets: [Handle] = []
        var count = 0
    }

    private static let entriesPerBlock = 512
    private static let shardCount = 256
    private static let bucketCountMin = 8

    private var blocks: [[Entry]] = []
    /// Entries that were ever in use; those after it in the last block are new.
    private var usedCount = 0
    /// Removed entries, linked by `newer`.
    private var free = none
    private var shards: [Shard] = Array(repeating: Shard(), count: shardCount)
    private var bucketCount = 0
    /// Clients choose what they push, and so could choose digests that fall into one bucket; not with a seed that they
    /// do not know.
    private let seed = UInt64.random(in: .min ... .max)
    /// The other 32 bytes of sha512 digests, which are rare.
    private var tails: [Handle: [UInt8]] = [:]
    private(set) var count = 0

    /// What the arrays take, in bytes.
    var memoryBytes: Int {
        blocks.count * Self.entriesPerBlock * MemoryLayout<Entry>.stride
            + bucketCount * MemoryLayout<Handle>.stride + Self.shardCount * (MemoryLayout<Shard>.stride + 32)
    }

    subscript(handle: Handle) -> Entry {
        _read { yield blocks[Int(handle) / Self.entriesPerBlock][Int(handle) % Self.entriesPerBlock] }
        _modify { yield &blocks[Int(handle) / Self.entriesPerBlock][Int(handle) % Self.entriesPerBlock] }
    }

    /// Handles are below this.
    var handleEnd: Handle { Handle(usedCount) }

    /// The same for equal digests, and as good as random otherwise.
    func hash(of digest: Digest) -> UInt64 { hash(ofWord: Entry(digest).word0) }

    func find(_ digest: Digest) -> Handle? {
        let key = Entry(digest)
        return find(word0: key.word0) { $0.hasDigest(of: key) }
    }

    /// The blob whose digest begins with these eight bytes: two of them do not exist by chance.
    func find(prefix word0: UInt64) -> Handle? { find(word0: word0) { _ in true } }

    private func find(word0: UInt64, where isRight: (borrowing Entry) -> Bool) -> Handle? {
        let hash = hash(ofWord: word0)
        let shard = Self.shard(of: hash)
        let mask = shards[shard].buckets.count - 1
        guard mask > 0 else { return nil }
        var bucket = Self.home(of: hash) & mask
        while shards[shard].buckets[bucket] != Self.none {
            let handle = shards[shard].buckets[bucket]
            if self[handle].word0 == word0 && isRight(self[handle]) { return handle }
            bucket = (bucket + 1) & mask
        }
        return nil
    }

    /// - Precondition: The digest is not in the index.
    mutating func insert(_ name: BlobName) -> Handle {
        var entry = Entry(name.digest)
        entry.sizeBytes = name.sizeBytes
        let handle: Handle
        if free != Self.none {
            handle = free
            free = self[handle].newer
        } else {
            if usedCount == blocks.count * Self.entriesPerBlock {
                blocks.append(Array(repeating: Entry(), count: Self.entriesPerBlock))
            }
            handle = Handle(usedCount)
            usedCount += 1
        }
        self[handle] = entry
        if entry.isSHA512 { tails[handle] = Array(name.digest.bytes.dropFirst(32)) }
        place(handle)
        count += 1
        return handle
    }

    mutating func remove(_ handle: Handle) {
        let hash = hash(ofWord: self[handle].word0)
        let shard = Self.shard(of: hash)
        let mask = shards[shard].buckets.count - 1
        var hole = Self.home(of: hash) & mask
        while shards[shard].buckets[hole] != handle {
            precondition(shards[shard].buckets[hole] != Self.none, "an entry is reachable from its home bucket")
            hole = (hole + 1) & mask
        }
        // Moves later entries of the same run back, so that no bucket on anybody's way is empty.
        var next = (hole + 1) & mask
        while shards[shard].buckets[next] != Self.none {
            let home = Self.home(of: self.hash(ofWord: self[shards[shard].buckets[next]].word0)) & mask
            if (next &- home) & mask >= (next &- hole) & mask {
                shards[shard].buckets[hole] = shards[shard].buckets[next]
                hole = next
            }
            next = (next + 1) & mask
        }
        shards[shard].buckets[hole] = Self.none
        shards[shard].count -= 1
        tails[handle] = nil
        self[handle] = Entry()
        self[handle].newer = free
        free = handle
        count -= 1
    }

    func name(of handle: Handle) -> BlobName {
        let entry = self[handle]
        let digest =
            entry.isSHA512
            ? Digest(algorithm: .sha512, bytes: entry.digestHead + (tails[handle] ?? []))
            : Digest(algorithm: .sha256, bytes: entry.digestHead)
        guard let digest else { preconditionFailure("an entry holds the bytes of a digest") }
        return BlobName(digest: digest, sizeBytes: entry.sizeBytes)
    }

    // MARK: Hashing

    private func hash(ofWord word0: UInt64) -> UInt64 {
        // The finalizer of MurmurHash3: every bit of the seed and of the digest reaches every bit of the result.
        var hash = word0 ^ seed
        hash = (hash ^ hash >> 33) &* 0xFF51_AFD7_ED55_8CCD
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }

    private static func shard(of hash: UInt64) -> Int { Int(hash >> 56) }
    private static func home(of hash: UInt64) -> Int { Int(hash & 0xFFFF_FFFF) }

    private mutating func place(_ handle: Handle) {
        let hash = hash(ofWord: self[handle].word0)
        let shard = Self.shard(of: hash)
        if (shards[shard].count + 1) * 4 > shards[shard].buckets.count * 3 { grow(shard) }
        put(handle, hash, into: shard)
        shards[shard].count += 1
    }

    private mutating func put(_ handle: Handle, _ hash: UInt64, into shard: Int) {
        let mask = shards[shard].buckets.count - 1
        var bucket = Self.home(of: hash) & mask
        while shards[shard].buckets[bucket] != Self.none { bucket = (bucket + 1) & mask }
        shards[shard].buckets[bucket] = handle
    }

    private mutating func grow(_ shard: Int) {
        let old = shards[shard].buckets
        let newCount = max(Self.bucketCountMin, old.count * 2)
        shards[shard].buckets = Array(repeating: Self.none, count: newCount)
        bucketCount += newCount - old.count
        for handle in old where handle != Self.none { put(handle, hash(ofWord: self[handle].word0), into: shard) }
    }
}

extension BlobIndex.Entry {
    fileprivate init(_ digest: Digest) {
        digest.withBytes { bytes in
            word0 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
            word1 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            word2 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
            word3 = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        }
        isSHA512 = digest.algorithm == .sha512
    }

    fileprivate var digestHead: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        for word in [word0, word1, word2, word3] { bytes.append(bigEndian: word) }
        return bytes
    }

    /// Two sha512 digests with 32 equal bytes do not exist by chance.
    fileprivate func hasDigest(of other: Self) -> Bool {
        word0 == other.word0 && word1 == other.word1 && word2 == other.word2 && word3 == other.word3
            && isSHA512 == other.isSHA512
    }
}
