// SPDX-License-Identifier: Apache-2.0

import Blocking
import FoundationEssentials
import Logging
import OriginBlobStore
import OriginMetadata

/// A session that one request may write to.
struct UploadClaim: Sendable {
    let lease: UploadLease
    let record: UploadSessionRecord
}

extension UploadService {
    /// Runs `body` with the only right to write to the session. Afterwards the lease is free again, unless `body`
    /// committed the session or let go of it itself; what ended it for good removes it.
    ///
    /// - Throws: `.busy`, `.unknownSession`, `.database`; what `body` throws.
    func holding<Value>(
        _ id: UUID,
        in repositoryID: Int64,
        _ body: (UploadClaim) async throws(UploadError) -> Value
    ) async throws(UploadError) -> Value {
        guard let lease = leases.take(id) else {
            throw .busy(sizeBytes: try await openRecord(id, in: repositoryID).offsetBytes)
        }
        defer { leases.giveBack(lease) }
        let claim = UploadClaim(lease: lease, record: try await acquire(lease, in: repositoryID))
        do {
            return try await body(claim)
        } catch {
            await unlessCancelled { await self.clean(up: claim, after: error) }
            throw error
        }
    }

    /// A committed session is handed out without a lease: nobody writes to it any more.
    private func acquire(
        _ lease: UploadLease,
        in repositoryID: Int64
    ) async throws(UploadError) -> UploadSessionRecord {
        let id = lease.sessionID
        let askedAt = ContinuousClock.now
        do {
            if let record = try await database.acquireUploadLease(
                id: id, repositoryID: repositoryID, holder: holder, duration: UploadLease.duration)
            {
                lease.acquired(askedAt: askedAt)
                return record
            }
            guard let record = try await database.uploadSession(id: id, repositoryID: repositoryID) else {
                throw UploadError.unknownSession
            }
            guard record.state == .committed else { throw UploadError.busy(sizeBytes: record.offsetBytes) }
            return record
        } catch {
            throw UploadError(error)
        }
    }

    private func clean(up claim: UploadClaim, after error: UploadError) async {
        switch error {
        case .digestMismatch:
            await discard(claim)
        case .store(let error) where error.kind != .outOfSpace:
            // What a failed disk still holds is unknown, so the client starts again.
            await discard(claim)
        case .leaseLost, .unknownSession, .busy:
            break  // The session is another's, or gone.
        case .outOfOrder, .lengthMismatch, .tooLarge, .algorithmNotAnnounced, .bodyCutShort, .overloaded, .leaseExpired,
            .database, .store:
            do { try await database.releaseUploadLease(id: claim.record.id, holder: holder) } catch {
                logger.warning("upload lease not released; it expires", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Removes session and file, the row first: a row without its file would promise bytes that are gone. Only under
    /// the lease, which is asked for once more: in other hands the file may be a committed blob by now.
    func discard(_ claim: UploadClaim) async {
        let record = claim.record
        do {
            guard
                try await database.renewUploadLease(id: record.id, holder: holder, duration: UploadLease.duration)
            else { return }
            try await database.deleteUploadSession(id: record.id)
            if let key = BlobKey(record.storageKey) { await remove(key) }
        } catch {
            logger.error("upload session not removed", metadata: ["error": "\(error)", "upload.id": "\(record.id)"])
        }
    }

    /// Removes a file that no row names. If that fails, it stays as an orphan, which costs only space.
    func remove(_ key: BlobKey) async {
        do { try await diskPool.run { [store] in try store.remove(key) } } catch {
            logger.error("blob file not removed", metadata: ["error": "\(error)", "blob.key": "\(key)"])
        }
    }

    /// Runs `work` to its end although the request's task may be cancelled, as it is when its client has gone.
    func unlessCancelled(_ work: @escaping @Sendable () async -> Void) async {
        await Task { await work() }.value
    }
}
