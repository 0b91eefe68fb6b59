// SPDX-License-Identifier: Apache-2.0

import Blocking
package import FoundationEssentials
import Hashing
import Logging
import NIOCore
import OriginBlobStore
import OriginMetadata
import Telemetry

extension UploadService {
    /// Appends the body of one PATCH and makes it durable.
    /// Spec: distribution-spec 1.1, "Pushing a blob in chunks".
    ///
    /// - Throws: `.outOfOrder`, `.busy`, `.lengthMismatch`, `.tooLarge`, `.unknownSession` before the body is read;
    ///   `.bodyCutShort` if the client went away: what came is kept. `.store`, `.database`, `.overloaded`.
    package func append<Bytes>(
        to id: UUID,
        in repositoryID: Int64,
        _ body: UploadBody<Bytes>
    ) async throws(UploadError) -> UploadStatus {
        try await counted { () async throws(UploadError) in
            try await holding(id, in: repositoryID) { claim async throws(UploadError) in
                guard claim.record.state == .open else { throw .unknownSession }
                try check(body, at: claim.record.offsetBytes)
                let pipeline = try await openPipeline(claim, from: try resumePoint(of: claim.record), for: body)
                try await receive(body, into: pipeline, claim)
                let point = try await pipeline.settle()
                try await save(point, claim, isLast: true)
                return UploadStatus(id: id, sizeBytes: point.offsetBytes)
            }
        }
    }

    func check<Bytes>(_ body: UploadBody<Bytes>, at sizeBytes: Int64) throws(UploadError) {
        try UploadRules.check(
            chunk: body.chunk,
            declaredBytes: body.declaredBytes,
            sizeBytes: sizeBytes,
            bytesMax: configuration.blobBytesMax)
    }

    func resumePoint(of record: UploadSessionRecord) throws(UploadError) -> ResumePoint {
        guard record.offsetBytes > 0 else { return ResumePoint(startingWith: record.algorithm) }
        guard
            let point = ResumePoint(
                offsetBytes: record.offsetBytes, hashState: record.hashState, pieceState: record.pieceState)
        else { throw .store(BlobStoreError(.damaged, "the hash state of upload \(record.id) is not valid")) }
        return point
    }

    /// Opens the session's file where it was last durable, if the volume has room for the body.
    func openPipeline<Bytes>(
        _ claim: UploadClaim,
        from point: ResumePoint,
        for body: UploadBody<Bytes>
    ) async throws(UploadError) -> UploadPipeline {
        guard let key = BlobKey(claim.record.storageKey) else {
            throw .store(BlobStoreError(.damaged, "upload \(claim.record.id) has no valid key"))
        }
        return try await pipeline(from: point, declaredBytes: body.declaredBytes, under: claim.lease) {
            store throws(BlobStoreError) in
            try store.openForAppend(key, truncatingTo: point.offsetBytes)
        }
    }

    func pipeline(
        from point: ResumePoint,
        declaredBytes: Int64?,
        under lease: UploadLease?,
        open: @escaping @Sendable (any BlobStore) throws(BlobStoreError) -> any BlobFile
    ) async throws(UploadError) -> UploadPipeline {
        do {
            let file = try await diskPool.run { [store] in
                if let declaredBytes, declaredBytes > 0 { try store.checkSpace(for: declaredBytes) }
                return try open(store)
            }
            return UploadPipeline(file: file, from: point, under: lease, hashPool: hashPool, diskPool: diskPool)
        } catch {
            throw UploadError(error)
        }
    }

    /// Reads a body to its end, with durable points on the way. On return all of it is submitted to the pipeline.
    ///
    /// - Parameter claim: The session to store durable points with; without one they only bound what is not synced.
    /// - Throws: `.bodyCutShort` after the session was saved as far as the body came; `.tooLarge`, `.leaseLost`,
    ///   `.store`, `.overloaded`.
    func receive<Bytes>(
        _ body: UploadBody<Bytes>,
        into pipeline: UploadPipeline,
        _ claim: UploadClaim?
    ) async throws(UploadError) {
        await body.admitted()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                try await read(body, into: pipeline, claim) { bytes in
                    // One durable point at a time: a disk that cannot follow slows its client down.
                    try await group.next()
                    group.addTask { try await self.durablePoint(of: pipeline, at: bytes, claim) }
                }
                try await group.waitForAll()
            }
        } catch {
            let error = UploadError(error)
            if case .bodyCutShort = error, let claim {
                await unlessCancelled { await self.saveInterrupted(pipeline, claim) }
            }
            throw error
        }
    }

    private func read<Bytes>(
        _ body: UploadBody<Bytes>,
        into pipeline: UploadPipeline,
        _ claim: UploadClaim?,
        startDurablePoint: (Int64) async throws -> Void
    ) async throws {
        let startBytes = pipeline.submittedBytes
        var cutter = PieceCutter(startBytes: startBytes, declaredBytes: body.declaredBytes, buffers: buffers)
        var schedule = DurableSchedule(startBytes: startBytes, now: .now)
        do {
            for try await var chunk in body.bytes {
                pushedBytes.add(chunk.readableBytes)
                guard cutter.hasRoom(for: chunk.readableBytes) else { throw UploadError.lengthMismatch }
                guard Int64(chunk.readableBytes) <= configuration.blobBytesMax - cutter.sizeBytes else {
                    throw UploadError.tooLarge(bytesMax: configuration.blobBytesMax)
                }
                while let piece = cutter.next(from: &chunk) {
                    try await pipeline.waitForRoom(inFlightCountMax: inFlightCountMax)
                    let endBytes = pipeline.submittedBytes + Int64(piece.count)
                    let isDurablePoint = schedule.isDue(at: endBytes, now: .now)
                    try pipeline.submit(piece, isDurablePoint: isDurablePoint)
                    if isDurablePoint { try await startDurablePoint(endBytes) }
                }
            }
            guard cutter.isComplete else { throw UploadError.bodyCutShort }
        } catch {
            if case .bodyCutShort = UploadError(error), let rest = cutter.rest() { try pipeline.submit(rest) }
            throw error
        }
        if let rest = cutter.rest() { try pipeline.submit(rest) }
    }

    private func durablePoint(of pipeline: UploadPipeline, at bytes: Int64, _ claim: UploadClaim?) async throws {
        let point = try await pipeline.durablePoint(at: bytes)
        if let claim {
            do throws(UploadError) { try await save(point, claim, isLast: false) } catch {
                // With the database away the body may go on: a later point takes this one's place.
                guard case .database(let cause) = error else { throw error }
                logger.warning("durable point not saved", metadata: ["error": "\(cause)"])
            }
        }
        try await diskPool.run { [store] in try store.checkSpace(for: 0) }
    }

    /// Stores a durable point with the session.
    /// - Parameter isLast: Whether the lease ends with it.
    /// - Throws: `.leaseLost`, `.database`.
    func save(_ point: ResumePoint, _ claim: UploadClaim, isLast: Bool) async throws(UploadError) {
        let isSaved: Bool
        let askedAt = ContinuousClock.now
        do {
            isSaved = try await database.saveUploadProgress(
                id: claim.record.id,
                holder: holder,
                offsetBytes: point.offsetBytes,
                hashState: point.hashState,
                pieceState: point.pieceState,
                leaseDuration: isLast ? nil : UploadLease.duration)
        } catch {
            throw .database(error)
        }
        guard isSaved else {
            claim.lease.lost()
            throw .leaseLost
        }
        claim.lease.extended(askedAt: askedAt)
    }

    /// Keeps what came before the client went away.
    private func saveInterrupted(_ pipeline: UploadPipeline, _ claim: UploadClaim) async {
        do throws(UploadError) {
            try await save(try await pipeline.settle(), claim, isLast: true)
        } catch {
            logger.warning("interrupted upload not saved", metadata: ["error": "\(error)"])
        }
    }
}
