// SPDX-License-Identifier: Apache-2.0

package import OCI

package struct StoredBlobRecord: Sendable, Hashable {
    package let digest: Digest
    /// The key of the file or object in the blob store.
    package let storageKey: String
    package let sizeBytes: Int64
    /// Whether the blob has a piece list; edges serve only such blobs.
    package let hasPieces: Bool

    package init(digest: Digest, storageKey: String, sizeBytes: Int64, hasPieces: Bool) {
        self.digest = digest
        self.storageKey = storageKey
        self.sizeBytes = sizeBytes
        self.hasPieces = hasPieces
    }
}

extension Database {
    /// Those of the keys that neither a blob nor an upload session has.
    package func unknownStorageKeys(_ keys: [String]) async throws(DatabaseError) -> Set<String> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT key FROM unnest($1::text[]) AS given (key)
                WHERE NOT EXISTS (SELECT FROM blobs WHERE storage_key = key)
                    AND NOT EXISTS (SELECT FROM upload_sessions WHERE storage_key = key)
                """,
                .textArray(keys))
            var unknown: Set<String> = []
            for row in rows { unknown.insert(try row[0]) }
            return unknown
        }
    }

    /// A blob as a repository holds it; `nil` if it does not, whoever else does.
    package func blob(
        _ digest: Digest,
        inRepository repositoryID: Int64
    ) async throws(DatabaseError) -> StoredBlobRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT b.storage_key, b.size_bytes, b.has_pieces
                FROM repository_blobs l JOIN blobs b ON b.digest = l.digest
                WHERE l.repository_id = $1 AND l.digest = $2 AND b.state = 'live'
                """,
                .int8(repositoryID), .digest(digest))
            guard let row = rows.first else { return nil }
            return StoredBlobRecord(
                digest: digest, storageKey: try row[0], sizeBytes: try row[1], hasPieces: try row[2])
        }
    }

    /// A blob whichever repository holds it; `nil` if it is not stored. No proof of any right: only for callers who have
    /// shown one, such as a signed link.
    package func storedBlob(_ digest: Digest) async throws(DatabaseError) -> StoredBlobRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                "SELECT storage_key, size_bytes, has_pieces FROM blobs WHERE digest = $1 AND state = 'live'",
                .digest(digest))
            guard let row = rows.first else { return nil }
            return StoredBlobRecord(
                digest: digest, storageKey: try row[0], sizeBytes: try row[1], hasPieces: try row[2])
        }
    }

    /// Takes a blob out of a repository, unless a manifest there names it. Its bytes stay, and so do the links of others.
    /// Other origins learn of it by the change sequence.
    package func unlinkBlob(
        _ digest: Digest,
        inRepository repositoryID: Int64
    ) async throws(DatabaseError) -> BlobUnlinking {
        try await transaction { session throws(DatabaseError) in
            // The lock first, the look after it: a manifest that is being pushed holds the link, or waits and then misses it.
            let locked = try session.query(
                "SELECT FROM repository_blobs WHERE repository_id = $1 AND digest = $2 FOR UPDATE",
                .int8(repositoryID), .digest(digest))
            guard !locked.isEmpty else { return .unknown }
            let uses = try session.query(
                """
                SELECT FROM manifest_references WHERE repository_id = $1 AND digest = $2 AND kind <> 'child' LIMIT 1
                """,
                .int8(repositoryID), .digest(digest))
            guard uses.isEmpty else { return .inUse }
            try session.query(
                "DELETE FROM repository_blobs WHERE repository_id = $1 AND digest = $2",
                .int8(repositoryID), .digest(digest))
            try session.appendChange(.unlinkedBlob(digest, repositoryID: repositoryID))
            return .unlinked
        }
    }

    /// Links a blob of one repository into another. Rights are the caller's business.
    /// - Parameter source: `nil`: any repository of the target's organization.
    /// - Returns: `false` if the source does not hold it.
    package func mountBlob(
        _ digest: Digest,
        from source: Int64?,
        into target: Int64
    ) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in
            // The lock first, the look in a statement after it: a collector that held the row is seen to have acted.
            try session.query("SELECT FROM blobs WHERE digest = $1 FOR KEY SHARE", .digest(digest))
            let held = try session.query(
                """
                SELECT FROM repository_blobs l JOIN blobs b ON b.digest = l.digest
                WHERE l.digest = $2 AND b.state = 'live' AND (l.repository_id = $1 OR $1::bigint IS NULL AND EXISTS (
                    SELECT FROM repositories holder JOIN repositories target USING (organization_id)
                    WHERE holder.id = l.repository_id AND target.id = $3))
                LIMIT 1
                """,
                .int8(source), .digest(digest), .int8(target))
            guard !held.isEmpty else { return false }
            try session.linkBlob(digest, into: target)
            return true
        }
    }
}

package enum BlobUnlinking: Sendable, Hashable {
    case unlinked
    /// The repository does not hold it.
    case unknown
    /// A manifest of the repository names it.
    case inUse
}

extension Session {
    /// - Precondition: The blob's row is locked by this transaction.
    func linkBlob(_ digest: Digest, into repositoryID: Int64) throws(DatabaseError) {
        try query(
            """
            INSERT INTO repository_blobs (repository_id, digest) VALUES ($1, $2)
            ON CONFLICT (repository_id, digest) DO NOTHING
            """,
            .int8(repositoryID), .digest(digest))
    }
}
