// SPDX-License-Identifier: Apache-2.0

package import Blocking
package import FoundationEssentials
package import Logging
package import OCI
package import OriginBlobStore
package import OriginMetadata
import Synchronization
package import Telemetry

/// Upload sessions: from POST to the final PUT (distribution-spec 1.1, "Pushing blobs").
///
/// A session is a row and, from its first byte, a file at its final key. Requests append to it one at a time, under a
/// lease that the row holds. Bytes count once they are durable: first the file, then the row. States of the row:
///
///     open ──PATCH──▶ open ──PUT, digest matches──▶ committed (kept for a while, so that a repeated PUT succeeds)
///       └──DELETE, or PUT with another digest──▶ gone
///
/// Limits: uploads at once, bytes per blob, pieces in flight over all uploads, reserve of the disk.
package final class UploadService: Sendable {
    package struct Configuration: Sendable {
        /// Names this origin in leases.
        package var originID: String
        /// Differs at every start, so that leases of an earlier process of this origin can be told apart.
        package var processID: String
        package var blobBytesMax: Int64 = 1 << 40
        package var uploadCountMax = 256
        /// Blobs up to here are read again if the PUT names an algorithm that the session did not announce.
        package var rehashBytesMax: Int64 = 1 << 30
        /// Open sessions that nobody writes to end after so long.
        package var sessionIdleTime: Duration = .seconds(7 * 86_400)
        /// For so long a PUT that repeats the one that committed its session succeeds again.
        package var committedSessionTime: Duration = .seconds(3600)

        package init(originID: String, processID: String) {
            self.originID = originID
            self.processID = processID
        }
    }

    let database: Database
    let store: any BlobStore
    let hashPool: BlockingPool
    let diskPool: BlockingPool
    let configuration: Configuration
    let logger: Logger
    let buffers = PieceBufferPool(idleCountMax: 16)
    let leases = UploadLeases()
    let incumbents = IncumbentQueue()
    let pushedBytes: Counter
    private let runningCount = Atomic(0)

    /// - Parameters:
    ///   - hashPool: One thread per core: whole digests.
    ///   - diskPool: Piece digests, writes, syncs. Either pool's queue has room for four jobs per upload.
    package init(
        database: Database,
        store: any BlobStore,
        hashPool: BlockingPool,
        diskPool: BlockingPool,
        configuration: Configuration,
        metrics: Metrics,
        logger: Logger
    ) {
        self.database = database
        self.store = store
        self.hashPool = hashPool
        self.diskPool = diskPool
        self.configuration = configuration
        self.logger = logger
        pushedBytes = metrics.counter("depot_origin_pushed_bytes_total", help: "Bytes of blobs received from clients.")
    }

    private static let removalInterval: Duration = .seconds(600)

    /// What goes on without a request, until cancelled.
    package func run(clock: some Clock<Duration> = ContinuousClock()) async {
        await withDiscardingTaskGroup { work in
            work.addTask { await self.keepLeases(clock) }
            work.addTask { await self.checkIncumbents() }
            work.addTask {
                repeat {
                    await self.removeOldSessions()
                } while (try? await clock.sleep(for: Self.removalInterval)) != nil
            }
        }
    }

    /// Takes back the leases of this origin's earlier process, then renews those of this one.
    private func keepLeases(_ clock: some Clock<Duration>) async {
        while !Task.isCancelled {
            do {
                try await database.reclaimLeases(
                    originID: configuration.originID, exceptProcess: configuration.processID)
                break
            } catch {
                logger.warning("upload leases not reclaimed yet", metadata: ["error": "\(error)"])
                try? await clock.sleep(for: .seconds(1))
            }
        }
        while (try? await clock.sleep(for: UploadLeases.renewalInterval)) != nil {
            await renewLeases()
        }
    }

    /// One round of renewals.
    package func renewLeases() async {
        do {
            try await leases.renewAll { ids in
                try await database.renewUploadLeases(ids: ids, holder: holder, duration: UploadLease.duration)
            }
        } catch {
            logger.warning("upload leases not renewed", metadata: ["error": "\(error)"])
        }
    }

    /// One round of removals: sessions that were left, with what they received, and those committed long ago.
    package func removeOldSessions() async {
        do {
            while true {
                let keys = try await database.removeIdleUploadSessions(idleTime: configuration.sessionIdleTime)
                if keys.isEmpty { break }
                logger.info("idle upload sessions removed", metadata: ["count": "\(keys.count)"])
                for key in keys { if let key = BlobKey(key) { await remove(key) } }
            }
            try await database.removeCommittedUploadSessions(age: configuration.committedSessionTime)
        } catch {
            logger.warning("old upload sessions not removed", metadata: ["error": "\(error)"])
        }
    }

    var holder: LeaseHolder {
        LeaseHolder(originID: configuration.originID, processID: configuration.processID)
    }

    // MARK: Sessions

    /// Opens a session. Nothing is on disk before its first byte.
    /// - Parameter algorithm: What the client will name its digest in; another one is accepted at a price.
    /// - Throws: `.store` with `.outOfSpace` below the reserve; `.database`, `.overloaded`.
    package func begin(in repositoryID: Int64, algorithm: DigestAlgorithm) async throws(UploadError) -> UploadStatus {
        do {
            try await diskPool.run { [store] in try store.checkSpace(for: 0) }
            let id = UUID()
            try await database.createUploadSession(
                id: id, repositoryID: repositoryID, algorithm: algorithm, storageKey: BlobKey.random().text)
            return UploadStatus(id: id, sizeBytes: 0)
        } catch {
            throw UploadError(error)
        }
    }

    /// - Throws: `.unknownSession` also after the commit; `.database`.
    package func status(of id: UUID, in repositoryID: Int64) async throws(UploadError) -> UploadStatus {
        let record = try await openRecord(id, in: repositoryID)
        return UploadStatus(id: id, sizeBytes: record.offsetBytes)
    }

    /// Ends a session and removes what it received.
    /// - Throws: `.busy` while another request writes to it; `.unknownSession`, `.database`.
    package func cancel(_ id: UUID, in repositoryID: Int64) async throws(UploadError) {
        try await holding(id, in: repositoryID) { claim async throws(UploadError) in
            guard claim.record.state == .open else { throw .unknownSession }
            await discard(claim)
        }
    }

    func openRecord(_ id: UUID, in repositoryID: Int64) async throws(UploadError) -> UploadSessionRecord {
        do {
            guard let record = try await database.uploadSession(id: id, repositoryID: repositoryID),
                record.state == .open
            else { throw UploadError.unknownSession }
            return record
        } catch {
            throw UploadError(error)
        }
    }

    // MARK: Admission

    /// Counts an upload while `body` runs.
    /// - Throws: `.overloaded` if too many run; what `body` throws.
    func counted<Value>(_ body: () async throws(UploadError) -> Value) async throws(UploadError) -> Value {
        let count = runningCount.add(1, ordering: .relaxed).newValue
        defer { runningCount.subtract(1, ordering: .relaxed) }
        guard count <= configuration.uploadCountMax else { throw .overloaded }
        return try await body()
    }

    var inFlightCountMax: Int {
        UploadRules.inFlightCountMax(uploadCount: runningCount.load(ordering: .relaxed))
    }
}
