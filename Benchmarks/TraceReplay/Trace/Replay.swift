// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import OCI

/// Plays a trace through a cache of `bytesMax` bytes: what is not there is fetched whole, and put in place of others.
package enum Replay {
    package struct Misses: Sendable, Equatable {
        package var bytes: Int64 = 0
        package var requests = 0

        /// Of the bytes that were asked for, the part that came from the parent.
        package func byteRatio(of trace: RegistryTrace) -> Double { Double(bytes) / Double(trace.requestedBytes) }
        package func requestRatio(of trace: RegistryTrace) -> Double {
            Double(requests) / Double(trace.requests.count)
        }
    }

    /// The edge's own queue.
    package static func edge(_ trace: RegistryTrace, bytesMax: Int64) -> Misses {
        var misses = Misses()
        var queue = EvictionQueue(bytesMax: bytesMax)
        let names = names(trace)
        for blob in trace.requests {
            let (name, size) = (names[blob], trace.sizes[blob])
            if let known = queue.find(name.digest) {
                queue.used(known)
                continue
            }
            misses.bytes += size
            misses.requests += 1
            guard size <= bytesMax else { continue }
            while !queue.evict(downTo: bytesMax - size).isDone {}
            queue.insert(name, storedBytes: size, from: .parent)
        }
        return misses
    }

    /// The peer: what was used longest ago goes first.
    package static func leastRecentlyUsed(_ trace: RegistryTrace, bytesMax: Int64) -> Misses {
        var misses = Misses()
        var cache = LeastRecentlyUsed(blobCount: trace.sizes.count)
        for blob in trace.requests where !cache.use(blob) {
            let size = trace.sizes[blob]
            misses.bytes += size
            misses.requests += 1
            guard size <= bytesMax else { continue }
            cache.insert(blob, sizeBytes: size, bytesMax: bytesMax, sizes: trace.sizes)
        }
        return misses
    }

    /// Digests as uniform as real ones.
    private static func names(_ trace: RegistryTrace) -> [BlobName] {
        trace.sizes.indices.map { number in
            var random = SeededRandom(seed: UInt64(number))
            var bytes: [UInt8] = []
            while bytes.count < 32 {
                let word = random.next()
                bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
            }
            guard let digest = Digest(algorithm: .sha256, bytes: bytes) else {
                preconditionFailure("32 bytes are a sha256")
            }
            return BlobName(digest: digest, sizeBytes: trace.sizes[number])
        }
    }
}

/// LRU in bytes, over blobs by number.
private struct LeastRecentlyUsed {
    private static let none = -1
    private var newer: [Int]
    private var older: [Int]
    private var isIn: [Bool]
    private var newest = none
    private var oldest = none
    private var usedBytes: Int64 = 0

    init(blobCount: Int) {
        newer = Array(repeating: Self.none, count: blobCount)
        older = newer
        isIn = Array(repeating: false, count: blobCount)
    }

    /// - Returns: Whether it is in the cache.
    mutating func use(_ blob: Int) -> Bool {
        guard isIn[blob] else { return false }
        unlink(blob)
        link(blob)
        return true
    }

    mutating func insert(_ blob: Int, sizeBytes: Int64, bytesMax: Int64, sizes: [Int64]) {
        while usedBytes + sizeBytes > bytesMax, oldest != Self.none {
            let victim = oldest
            unlink(victim)
            isIn[victim] = false
            usedBytes -= sizes[victim]
        }
        isIn[blob] = true
        usedBytes += sizeBytes
        link(blob)
    }

    private mutating func link(_ blob: Int) {
        (older[blob], newer[blob]) = (newest, Self.none)
        if newest != Self.none { newer[newest] = blob } else { oldest = blob }
        newest = blob
    }

    private mutating func unlink(_ blob: Int) {
        let (next, previous) = (newer[blob], older[blob])
        if next != Self.none { older[next] = previous } else { newest = previous }
        if previous != Self.none { newer[previous] = next } else { oldest = next }
    }
}
