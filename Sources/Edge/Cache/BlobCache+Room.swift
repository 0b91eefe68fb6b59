// SPDX-License-Identifier: Apache-2.0

import Disk
import Hashing
import Synchronization
import Telemetry

/// Room for what arrives: the cache's own maximum, and the space that the file system has to keep free.
extension BlobCache {
    /// Stores one piece of an open blob, evicting others for room. Blocks; the disk pool.
    ///
    /// - Throws: `.outOfSpace` if everything else is in use or evicting did not help, or `.io`. The piece is not on disk.
    package func store(
        _ blob: CachedBlob, piece: Int, bytes: UnsafeRawBufferPointer
    ) throws(CacheError)
        -> CachedBlob.StoreOutcome
    {
        try makeRoom(forBytes: Int64(bytes.count))
        let outcome: CachedBlob.StoreOutcome
        do throws(CacheError) {
            outcome = try blob.store(piece: piece, bytes: bytes)
        } catch {
            // Somebody else filled the disk. One try with what can be freed; the next error is the answer.
            guard error.kind == .outOfSpace, evict(incomingBytes: 0, missingBytes: Self.emergencyBytes) > 0 else {
                throw error
            }
            outcome = try blob.store(piece: piece, bytes: bytes)
        }
        table.withLock { $0.grew(blob) }
        publishGauges()
        return outcome
    }

    /// Freed at once when the disk turns out to be full.
    private static var emergencyBytes: Int64 { 64 << 20 }

    func makeRoom(forBytes byteCount: Int64) throws(CacheError) {
        // If the file system cannot tell, the write itself will.
        let available = (try? Directory.freeBytes(configuration.directory))?.available ?? .max
        let missing = max(0, configuration.reserveBytes + byteCount - available)
        let evictedCount = evict(incomingBytes: byteCount, missingBytes: missing)
        guard table.withLock({ $0.queue.hasRoom(forBytes: byteCount) }) else {
            throw CacheError(kind: .outOfSpace, message: "every blob in the cache is in use")
        }
        guard missing == 0 || evictedCount > 0 else {
            throw CacheError(
                kind: .outOfSpace,
                message:
                    "\(available) bytes are free on the cache's file system; \(configuration.reserveBytes) are to stay free"
            )
        }
    }

    /// - Returns: How many blobs went.
    @discardableResult
    func evict(incomingBytes: Int64, missingBytes: Int64) -> Int {
        let victims = table.withLock { $0.beganEvicting(incomingBytes: incomingBytes, missingBytes: missingBytes) }
        for victim in victims {
            removeFiles(victim.name)
            environment.metrics.evictedBlobs.add(1)
        }
        return victims.count
    }
}
