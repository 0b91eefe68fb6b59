// SPDX-License-Identifier: Apache-2.0

import Blocking
package import FoundationEssentials
import Logging
import NIOCore
package import OCI
import OriginBlobStore
import OriginMetadata

extension UploadService {
    /// Appends the body of the final PUT, verifies the whole, and commits it: bytes and names synced, then the
    /// database, then the caller's 201. A repeated PUT of a committed session succeeds again.
    /// Spec: distribution-spec 1.1, "Pushing a blob monolithically" and "in chunks".
    ///
    /// - Throws: `.digestMismatch` and `.algorithmNotAnnounced`, besides what `append` throws.
    package func finish<Bytes>(
        _ id: UUID,
        in repositoryID: Int64,
        as digest: Digest,
        _ body: UploadBody<Bytes>
    ) async throws(UploadError) -> CommittedBlob {
        try await counted { () async throws(UploadError) in
            try await holding(id, in: repositoryID) { claim async throws(UploadError) in
                guard claim.record.state == .open else { return try await replayed(claim.record, digest) }
                try check(body, at: claim.record.offsetBytes)
                // Nothing is hashed yet, so the algorithm is still free.
                let point =
                    claim.record.offsetBytes == 0
                    ? ResumePoint(startingWith: digest.algorithm) : try resumePoint(of: claim.record)
                try checkAlgorithm(digest, point.algorithm, sizeBytes: point.offsetBytes + (body.declaredBytes ?? 0))
                let pipeline = try await openPipeline(claim, from: point, for: body)
                try await receive(body, into: pipeline, claim)
                try await verify(pipeline, digest)
                return try await commit(pipeline, digest, in: repositoryID, sessionID: id)
            }
        }
    }

    /// Stores a blob that came in one POST: no session, nothing to resume.
    /// Spec: distribution-spec 1.1, "Single POST".
    ///
    /// - Throws: As `finish`; whatever it is, nothing stays.
    package func push<Bytes>(
        to repositoryID: Int64,
        as digest: Digest,
        _ body: UploadBody<Bytes>
    ) async throws(UploadError) -> CommittedBlob {
        try await counted { () async throws(UploadError) in
            try check(body, at: 0)
            let key = BlobKey.random()
            let start = ResumePoint(startingWith: digest.algorithm)
            let pipeline = try await pipeline(from: start, declaredBytes: body.declaredBytes, under: nil) {
                store throws(BlobStoreError) in try store.create(key)
            }
            do throws(UploadError) {
                try await receive(body, into: pipeline, nil)
                try await verify(pipeline, digest)
                return try await commit(pipeline, digest, in: repositoryID, sessionID: nil)
            } catch {
                // A commit that may have happened keeps its file, which at worst is an orphan.
                if case .database = error { throw error }
                await unlessCancelled { await self.remove(key) }
                throw error
            }
        }
    }

    /// The answer to a PUT that repeats the one that committed the session: its answer may have been lost.
    private func replayed(_ record: UploadSessionRecord, _ digest: Digest) async throws(UploadError) -> CommittedBlob {
        guard record.committedDigest == digest else { throw .unknownSession }
        do {
            guard let blob = try await database.blob(digest, inRepository: record.repositoryID),
                let key = BlobKey(blob.storageKey)
            else { throw UploadError.unknownSession }
            return CommittedBlob(digest: digest, sizeBytes: blob.sizeBytes, key: key)
        } catch {
            throw UploadError(error)
        }
    }

    private func checkAlgorithm(
        _ digest: Digest,
        _ running: DigestAlgorithm,
        sizeBytes: Int64
    ) throws(UploadError) {
        guard running == digest.algorithm || sizeBytes <= configuration.rehashBytesMax else {
            throw .algorithmNotAnnounced(digest, rehashBytesMax: configuration.rehashBytesMax)
        }
    }

    private func verify(_ pipeline: UploadPipeline, _ digest: Digest) async throws(UploadError) {
        try checkAlgorithm(digest, pipeline.algorithm, sizeBytes: pipeline.submittedBytes)
        let actual =
            pipeline.algorithm == digest.algorithm
            ? try await pipeline.digest() : try await pipeline.rehash(with: digest.algorithm)
        guard actual == digest else { throw .digestMismatch(actual: actual) }
    }

    private func commit(
        _ pipeline: UploadPipeline,
        _ digest: Digest,
        in repositoryID: Int64,
        sessionID: UUID?
    ) async throws(UploadError) -> CommittedBlob {
        try await pipeline.seal(as: digest.algorithm)
        let sizeBytes = pipeline.submittedBytes
        let ownKey = pipeline.file.key
        var key = try await record(digest, ownKey, sizeBytes, in: repositoryID, sessionID, replacing: nil)
        if key != ownKey, try await !isIntact(key, digest, sizeBytes) {
            // The digest was stored before, but its file is damaged: this push heals it.
            logger.error("damaged blob replaced", metadata: ["blob.digest": "\(digest)", "blob.key": "\(key)"])
            key = try await record(digest, ownKey, sizeBytes, in: repositoryID, sessionID, replacing: key)
        }
        if key != ownKey {
            let twin = Twin(digest: digest, sizeBytes: sizeBytes, incumbent: key, newcomer: ownKey)
            if !incumbents.append(twin) { await remove(ownKey) }
        }
        return CommittedBlob(digest: digest, sizeBytes: sizeBytes, key: key)
    }

    /// Commits in the database.
    /// - Returns: The key that the digest points at now; another one if the blob was stored before.
    private func record(
        _ digest: Digest,
        _ key: BlobKey,
        _ sizeBytes: Int64,
        in repositoryID: Int64,
        _ sessionID: UUID?,
        replacing damagedKey: BlobKey?
    ) async throws(UploadError) -> BlobKey {
        do {
            let commit = try await database.commitBlob(
                sessionID: sessionID,
                holder: holder,
                repositoryID: repositoryID,
                digest: digest,
                storageKey: key.text,
                sizeBytes: sizeBytes,
                hasPieces: true,
                replacing: damagedKey?.text)
            guard let commit else { throw UploadError.leaseLost }
            guard let current = BlobKey(commit.storageKey) else {
                throw BlobStoreError(.damaged, "\(digest) has no valid key")
            }
            return current
        } catch {
            throw UploadError(error)
        }
    }

    /// Whether the file behind a key can be opened and has its size and its piece list.
    private func isIntact(_ key: BlobKey, _ digest: Digest, _ sizeBytes: Int64) async throws(UploadError) -> Bool {
        do {
            return try await diskPool.run { [store] in
                guard let blob = try store.open(key), blob.sizeBytes == sizeBytes else { return false }
                return try store.pieces(key, digest: digest, sizeBytes: sizeBytes) != nil
            }
        } catch is BlobStoreError {
            return false
        } catch {
            throw UploadError(error)
        }
    }
}
