// SPDX-License-Identifier: Apache-2.0

package import Blocking
package import Hashing
package import Logging
package import OCI
import Synchronization
package import Telemetry

/// The blobs on this edge's disk: complete ones in `c/`, partial ones in `p/`, an index of both in memory, and the
/// eviction that keeps them within bounds. Knows no network.
///
/// A blob is served from the moment the process starts: its path follows from digest and size, so the index is not
/// needed to find it, only to evict. States of a blob: absent → partial (data and map in `p/`) → complete (one rename
/// into `c/`) → evicted. A damaged piece makes a complete blob partial again without a move: it is absent in memory and
/// is put back in place. Open blobs are shared and stay open for a while after their last user, with the marks of what
/// was checked.
package final class BlobCache: Sendable {
    package struct Configuration: Sendable {
        /// Holds `c/` and `p/`; created if missing.
        package var directory: String
        /// Bytes of blobs to keep at most.
        package var bytesMax: Int64
        /// Bytes to leave free on the file system.
        package var reserveBytes: Int64
        /// Blobs to keep open that nobody uses. Each holds one or two descriptors and its piece list.
        package var idleOpenCountMax = 512
        /// Anything but `.pageCache` is for tests: the cache falls back by itself.
        package var residency = CachedBlob.Residency.pageCache
        package var bootID = BootID.current()
        /// What the background scrub may read; 0 switches it off.
        package var scrubBytesPerSecond: Int64 = 4 << 20
        /// Anything but the system's clock and timer is for tests.
        package var now: @Sendable () -> ContinuousClock.Instant = { .now }
        /// Throws when the task is cancelled.
        package var pause: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }

        package init(directory: String, bytesMax: Int64, reserveBytes: Int64) {
            self.directory = directory
            self.bytesMax = bytesMax
            self.reserveBytes = reserveBytes
        }
    }

    package let pool: BlockingPool
    package let buffers: PieceBuffers
    let configuration: Configuration
    let environment: CacheEnvironment
    let table: Mutex<CacheTable>
    let health = Mutex(DiskHealth())
    let isTrimming = Atomic(false)
    /// A sync of a large blob takes seconds, in which nobody else shall wait for a thread; and a disk that syncs several
    /// at once ends none of them sooner.
    /// What it hashes before a commit stands back behind sending, as on the disk pool.
    package let commits = BlockingPool(name: "edge-commit", threadCount: 1, queueCountMax: 4096, niceness: 5)

    package init(
        _ configuration: Configuration,
        pool: BlockingPool,
        metrics: Metrics,
        logger: Logger
    ) throws(CacheError) {
        self.configuration = configuration
        self.pool = pool
        buffers = PieceBuffers()
        environment = CacheEnvironment(
            paths: CachePaths(directory: configuration.directory),
            bootID: configuration.bootID,
            residency: configuration.residency,
            pool: pool,
            buffers: buffers,
            now: configuration.now,
            metrics: CacheMetrics(metrics),
            logger: logger)
        table = Mutex(CacheTable(bytesMax: configuration.bytesMax, idleCountMax: configuration.idleOpenCountMax))
        try makeDirectories()
    }

    /// Bytes of blobs on disk that the index knows.
    package var usedBytes: Int64 { table.withLock { $0.queue.usedBytes } }
    /// Blobs that the index knows, complete or partial.
    package var blobCount: Int { table.withLock { $0.queue.count } }

    // MARK: Open blobs

    /// The blob if it is open already. Never blocks.
    /// - Returns: Pinned; to be given to `release` once.
    package func openedBlob(_ digest: Digest, sizeBytes: Int64) -> CachedBlob? {
        table.withLock { $0.pinned(BlobName(digest: digest, sizeBytes: sizeBytes)) }
    }

    /// Opens the blob's file on the disk pool, complete or partial.
    ///
    /// - Parameter completion: Called once, from any thread, also before this returns. The blob is pinned and has to be
    ///   given to `release` once; `nil` if the cache holds no usable file. Errors say nothing about the content.
    package func open(
        _ digest: Digest,
        sizeBytes: Int64,
        completion: @escaping @Sendable (Result<CachedBlob?, CacheError>) -> Void
    ) {
        let name = BlobName(digest: digest, sizeBytes: sizeBytes)
        guard sizeBytes <= BlobName.sizeBytesMax else {
            completion(.success(nil))
            return
        }
        let answer = table.withLock { table in
            table.beganOpening(name, completion: completion) { [weak self] in
                guard let self else { return completion(.success(nil)) }
                open(digest, sizeBytes: sizeBytes, completion: completion)
            }
        }
        switch answer {
        case .open(let blob): completion(.success(blob))
        case .contradiction: completion(.success(nil))
        case .wait: break
        case .load:
            do throws(BlockingError) {
                try pool.submit { [self] in finishOpening(name) { () throws(CacheError) in try load(name) } }
            } catch {
                let overloaded = CacheError(kind: .overloaded, message: "the disk pool takes no more jobs")
                for completion in table.withLock({ $0.failedOpening(name) }) { completion(.failure(overloaded)) }
            }
        }
    }

    /// Makes a partial blob without any piece. Blocks; the disk pool.
    ///
    /// - Returns: The blob, pinned; to be given to `release` once. If it exists already, that one.
    /// - Throws: `.outOfSpace` if there is no room for its first piece, `.io` (also while the disk is off), or
    ///   `.overloaded` while somebody opens or removes the blob's files: whoever fills it passes it through.
    package func create(_ digest: Digest, sizeBytes: Int64, pieces: PieceList) throws(CacheError) -> CachedBlob {
        let name = BlobName(digest: digest, sizeBytes: sizeBytes)
        guard sizeBytes <= BlobName.sizeBytesMax, pieces.blobSizeBytes == sizeBytes else {
            throw CacheError(kind: .io, message: "blobs of \(sizeBytes) bytes are not cached")
        }
        try requireHealthyDisk()
        let created = Mutex<Result<CachedBlob?, CacheError>?>(nil)
        let answer = table.withLock { table in
            table.beganCreating(name) { result in created.withLock { $0 = result } }
        }
        switch answer {
        case .open(let blob): return blob
        case .wait, .contradiction, nil: throw CacheError(kind: .overloaded, message: "the blob's files are in use")
        case .load:
            finishOpening(name) { () throws(CacheError) in try make(name, pieces) }
            guard let blob = try created.withLock({ $0 })?.get() else {
                preconditionFailure("what was made was handed to its maker")
            }
            return blob
        }
    }

    /// Gives back one pin. Any thread; never blocks.
    package func release(_ blob: CachedBlob) {
        let now = configuration.now()
        drop(table.withLock { $0.released(blob, at: now) })
    }

    /// Closes blobs that are in the table no more.
    func drop(_ closed: [CachedBlob]) {
        guard !closed.isEmpty else { return }
        // close(2) of a file whose name is gone frees its blocks, which takes time: not on an event loop. If the pool is
        // full, the closure is dropped here, and so are they.
        try? pool.submit { withExtendedLifetime(closed) {} }
    }

    private func finishOpening(_ name: BlobName, _ body: () throws(CacheError) -> CachedBlob?) {
        do throws(CacheError) {
            let blob = try body()
            let now = configuration.now()
            let completions = table.withLock { $0.endedOpening(name, blob, at: now) }
            for completion in completions { completion(.success(blob)) }
            // Every piece arrived and the process ended before the rename.
            if let blob, !blob.isComplete, blob.present.isFull { commitLater(blob) }
        } catch {
            environment.logger.warning(
                "a cached blob cannot be opened", metadata: ["blob.digest": "\(name.digest)", "error": "\(error)"])
            for completion in table.withLock({ $0.failedOpening(name) }) { completion(.failure(error)) }
        }
    }

    // MARK: Removing

    /// Drops the file of a blob that `inspect` or `store` called lost. Never blocks; who still has the blob sees it lost
    /// as well, and opens it anew after the files are gone.
    package func discard(_ blob: CachedBlob) {
        guard table.withLock({ $0.beganDiscarding(blob) }) else { return }
        let name = blob.name
        do throws(BlockingError) {
            try pool.submit { [self] in removeFiles(name) }
        } catch {
            // The next opening finds the wrong size and removes the file itself.
            endedRemoving(name.digest)
        }
    }

    /// Blocks.
    func removeFiles(_ name: BlobName) {
        unlinkFiles(name)
        endedRemoving(name.digest)
    }

    func endedRemoving(_ digest: Digest) {
        for waiter in table.withLock({ $0.endedRemoving(digest) }) { waiter() }
        publishGauges()
    }

    func publishGauges() {
        let (usedBytes, blobCount, indexBytes) = table.withLock { table in
            (table.queue.usedBytes, table.queue.count, table.queue.indexBytes)
        }
        environment.metrics.indexBytes.set(indexBytes)
        environment.metrics.usedBytes.set(usedBytes)
        environment.metrics.blobCount.set(blobCount)
    }
}
