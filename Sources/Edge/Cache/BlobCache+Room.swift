// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Hashing
import Synchronization
import Telemetry

/// Room for what arrives: the cache's own maximum, and the space that the file system has to keep free.
///
/// From 95 % of the maximum on, a job on the disk pool evicts down to 90 %, so that a store finds room and does not wait
/// for files to be removed. A store evicts by itself only where that was too slow: at the maximum, or when the file
/// system has less left than it is to keep.
extension BlobCache {
    /// Stores one piece of an open blob, evicting others for room. Blocks; the disk pool.
    ///
    /// - Throws: `.outOfSpace` if everything else is in use or evicting did not help, or `.io`, also while the disk is
    ///   off. The piece is not on disk.
    package func store(
        _ blob: CachedBlob, piece: Int, bytes: UnsafeRawBufferPointer
    ) throws(CacheError)
        -> CachedBlob.StoreOutcome
    {
        try requireHealthyDisk()
        let byteCount = Int64(bytes.count)
        try takeRoom(forBytes: byteCount)
        let outcome: CachedBlob.StoreOutcome
        do throws(CacheError) {
            outcome = try storeWithSecondTry(blob, piece, bytes)
        } catch {
            giveBackRoom(forBytes: byteCount)
            failedToWrite(error)
            throw error
        }
        if outcome == .stored || outcome == .storedLast { health.withLock { $0.wrote() } }
        let isHigh = table.withLock { table in
            table.grew(blob)
            table.giveBackRoom(bytes: byteCount)
            return table.queue.usedBytes > table.queue.highBytes && table.queue.hasCandidates
        }
        if isHigh { startTrimming() }
        publishGauges()
        return outcome
    }

    private func storeWithSecondTry(
        _ blob: CachedBlob, _ piece: Int, _ bytes: UnsafeRawBufferPointer
    ) throws(CacheError) -> CachedBlob.StoreOutcome {
        do throws(CacheError) {
            return try blob.store(piece: piece, bytes: bytes)
        } catch {
            // Somebody else filled the disk. One try with what can be freed; the next error is the answer.
            guard error.kind == .outOfSpace, evictToFree(Self.emergencyBytes) > 0 else { throw error }
            return try blob.store(piece: piece, bytes: bytes)
        }
    }

    /// Freed at once when the disk turns out to be full.
    private static var emergencyBytes: Int64 { 64 << 20 }

    /// Evicts until so much more has room. The room is the caller's until it gives it back, after the queue knows what
    /// was written.
    func takeRoom(forBytes byteCount: Int64) throws(CacheError) {
        while !table.withLock({ $0.reserveRoom(bytes: byteCount) }) {
            let (count, isDone) = evictSome(downTo: configuration.bytesMax - byteCount)
            // If nothing was left to evict, others may still have made room meanwhile.
            if isDone && count == 0 && !table.withLock({ $0.queue.hasRoom(forBytes: byteCount) }) {
                throw CacheError(kind: .outOfSpace, message: "every blob in the cache is in use")
            }
        }
        do throws(CacheError) {
            try makeFileSystemRoom(forBytes: byteCount)
        } catch {
            giveBackRoom(forBytes: byteCount)
            throw error
        }
    }

    func giveBackRoom(forBytes byteCount: Int64) { table.withLock { $0.giveBackRoom(bytes: byteCount) } }

    private func makeFileSystemRoom(forBytes byteCount: Int64) throws(CacheError) {
        // If the file system cannot tell, the write itself will.
        let available = (try? Directory.freeBytes(configuration.directory))?.available ?? .max
        let missing = max(0, configuration.reserveBytes + byteCount - available)
        guard missing == 0 || evictToFree(missing) > 0 else {
            throw CacheError(
                kind: .outOfSpace,
                message:
                    "\(available) bytes are free on the cache's file system; \(configuration.reserveBytes) are to stay free"
            )
        }
    }

    /// Evicts so many bytes, or all that can go. Blocks.
    /// - Returns: How many blobs went.
    private func evictToFree(_ byteCount: Int64) -> Int {
        evict(downTo: table.withLock { $0.queue.occupiedBytes } - byteCount)
    }

    /// Blocks.
    /// - Returns: How many blobs went.
    @discardableResult
    func evict(downTo targetBytes: Int64) -> Int {
        var evictedCount = 0
        while true {
            let (count, isDone) = evictSome(downTo: targetBytes)
            evictedCount += count
            if isDone { return evictedCount }
        }
    }

    private func evictSome(downTo targetBytes: Int64) -> (count: Int, isDone: Bool) {
        let eviction = table.withLock { $0.beganEvicting(downTo: targetBytes) }
        for victim in eviction.victims {
            removeFiles(victim)
            environment.metrics.evictedBlobs.add(1)
        }
        return (eviction.victims.count, eviction.isDone)
    }

    // MARK: In the background

    /// One job at a time evicts to the low mark.
    private func startTrimming() {
        guard !isTrimming.exchange(true, ordering: .acquiringAndReleasing) else { return }
        trimSome()
    }

    /// A few blobs for each job, so that others get their turn on the pool.
    private func trimSome() {
        do throws(BlockingError) {
            try pool.submit { [self] in
                let (_, isDone) = evictSome(downTo: table.withLock { $0.queue.lowBytes })
                if isDone { isTrimming.store(false, ordering: .releasing) } else { trimSome() }
            }
        } catch {
            // The next store begins anew.
            isTrimming.store(false, ordering: .releasing)
        }
    }
}
