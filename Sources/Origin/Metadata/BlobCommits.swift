// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import OCI

package struct BlobCommit: Sendable, Hashable {
    /// The key that the digest points at now: the one given, or the one of an earlier push.
    package let storageKey: String
}

extension Database {
    /// Makes an uploaded blob visible in a repository: blob row, link, and end of the session, in one transaction. The
    /// file at `storageKey` is durable by then. May be repeated.
    ///
    /// A digest that is stored already keeps its file, unless that is the damaged one, lacks pieces that the new one
    /// has, or is going to be removed. A file that the digest does not point at is the caller's to remove.
    ///
    /// - Parameters:
    ///   - sessionID: The upload session; `nil` for a blob that came in one request.
    ///   - holder: Who must hold the session's lease.
    ///   - damagedKey: The file that the digest points at and that was found unusable.
    /// - Returns: `nil` if the session is not the holder's any more: lease lost, cancelled, or committed as another
    ///   digest.
    package func commitBlob(
        sessionID: UUID?,
        holder: LeaseHolder,
        repositoryID: Int64,
        digest: Digest,
        storageKey: String,
        sizeBytes: Int64,
        hasPieces: Bool,
        replacing damagedKey: String? = nil
    ) async throws(DatabaseError) -> BlobCommit? {
        try await transaction { session throws(DatabaseError) in
            if let sessionID {
                let rows = try session.query(
                    """
                    UPDATE upload_sessions
                    SET state = 'committed', committed_digest = $5, offset_bytes = $6,
                        hash_state = '', piece_state = '',
                        lease_origin = NULL, lease_process = NULL, lease_expires_at = NULL, updated_at = now()
                    WHERE id = $1 AND repository_id = $2
                        AND ((state = 'open' AND lease_origin = $3 AND lease_process = $4)
                            OR (state = 'committed' AND committed_digest = $5))
                    """,
                    .uuid(sessionID), .int8(repositoryID), .text(holder.originID), .text(holder.processID),
                    .digest(digest), .int8(sizeBytes))
                guard rows.affectedCount == 1 else { return nil }
            }
            let (currentKey, isMoved) = try session.upsertBlob(
                StoredBlobRecord(digest: digest, storageKey: storageKey, sizeBytes: sizeBytes, hasPieces: hasPieces),
                replacing: damagedKey)
            try session.linkBlob(digest, into: repositoryID)
            if isMoved { try session.appendChange(.healedBlob(digest)) }
            return BlobCommit(storageKey: currentKey)
        }
    }

    /// Points a digest at another file of the same bytes. May be repeated.
    /// - Returns: `false` if the digest points at neither of them, or is going to be removed: the file is the caller's to
    ///   remove.
    package func replaceFile(
        of digest: Digest,
        _ damagedKey: String,
        with key: String
    ) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in
            let rows = try session.query(
                """
                UPDATE blobs SET storage_key = $3, has_pieces = true
                WHERE digest = $1 AND storage_key IN ($2, $3) AND state = 'live'
                """,
                .digest(digest), .text(damagedKey), .text(key))
            guard rows.affectedCount == 1 else { return false }
            try session.appendChange(.healedBlob(digest))
            return true
        }
    }
}

extension Session {
    /// Locks the blob's row, which is there afterwards, and returns its key, and whether it was another one before.
    fileprivate func upsertBlob(
        _ blob: StoredBlobRecord,
        replacing damagedKey: String?
    ) throws(DatabaseError) -> (key: String, isMoved: Bool) {
        // ON CONFLICT locks the row also where its WHERE leaves it as it is.
        let written = try query(
            """
            INSERT INTO blobs AS b (digest, storage_key, size_bytes, has_pieces) VALUES ($1, $2, $3, $4)
            ON CONFLICT (digest) DO UPDATE
            SET storage_key = excluded.storage_key, size_bytes = excluded.size_bytes, has_pieces = excluded.has_pieces,
                state = 'live'
            WHERE b.storage_key = $5 OR b.state <> 'live' OR (excluded.has_pieces AND NOT b.has_pieces)
            RETURNING xmax <> 0
            """,
            .digest(blob.digest), .text(blob.storageKey), .int8(blob.sizeBytes), .bool(blob.hasPieces),
            .text(damagedKey))
        guard let row = try query("SELECT storage_key FROM blobs WHERE digest = $1", .digest(blob.digest)).first else {
            throw .vanished("blob")
        }
        // Of the row that was written: xmax is 0 only in one that is new.
        let isMoved: Bool = try written.first.map { row throws(DatabaseError) in try row[0] } ?? false
        return (try row[0], isMoved)
    }
}
