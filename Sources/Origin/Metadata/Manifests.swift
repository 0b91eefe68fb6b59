// SPDX-License-Identifier: Apache-2.0

package import OCI

package struct ManifestRecord: Sendable, Hashable {
    package let digest: Digest
    package let mediaType: String
    /// Byte for byte as pushed.
    package let body: [UInt8]
    package let artifactType: String?
    package let subject: Digest?

    package init(digest: Digest, mediaType: String, body: [UInt8], artifactType: String?, subject: Digest?) {
        self.digest = digest
        self.mediaType = mediaType
        self.body = body
        self.artifactType = artifactType
        self.subject = subject
    }

    /// Columns: digest, media_type, body, artifact_type, subject_digest.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        digest = try row[0]
        mediaType = try row[1]
        body = try row[2]
        artifactType = try row[optional: 3]
        subject = try row[optional: 4]
    }
}

extension Database {
    package func manifest(repositoryID: Int64, digest: Digest) async throws(DatabaseError) -> ManifestRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT digest, media_type, body, artifact_type, subject_digest
                FROM manifests WHERE repository_id = $1 AND digest = $2
                """,
                .int8(repositoryID), .digest(digest))
            guard let row = rows.first else { return nil }
            return try ManifestRecord(row)
        }
    }

    package func manifest(repositoryID: Int64, tag: Tag) async throws(DatabaseError) -> ManifestRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT m.digest, m.media_type, m.body, m.artifact_type, m.subject_digest
                FROM tags t JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
                WHERE t.repository_id = $1 AND t.name = $2
                """,
                .int8(repositoryID), .text(tag.text))
            guard let row = rows.first else { return nil }
            return try ManifestRecord(row)
        }
    }

    /// Deletes a manifest and the tags that point at it. Its blobs stay.
    /// - Parameter keepsChildren: Whether a manifest that an index of the repository names stays.
    package func deleteManifest(
        repositoryID: Int64,
        digest: Digest,
        keepsChildren: Bool
    ) async throws(DatabaseError) -> ManifestDeletion {
        try await transaction { session throws(DatabaseError) in
            // The lock first, the look after it: an index that is being pushed holds the row, or waits and then misses it.
            let locked = try session.query(
                "SELECT FROM manifests WHERE repository_id = $1 AND digest = $2 FOR UPDATE",
                .int8(repositoryID), .digest(digest))
            guard !locked.isEmpty else { return .unknown }
            if keepsChildren {
                let indexes = try session.query(
                    """
                    SELECT manifest_digest FROM manifest_references
                    WHERE repository_id = $1 AND digest = $2 AND kind = 'child' ORDER BY manifest_digest LIMIT 1
                    """,
                    .int8(repositoryID), .digest(digest))
                if let row = indexes.first { return .needed(by: try row[0]) }
            }
            try session.query(
                "DELETE FROM manifests WHERE repository_id = $1 AND digest = $2", .int8(repositoryID), .digest(digest))
            try session.appendChange(.changedManifest(digest, repositoryID: repositoryID))
            return .deleted
        }
    }
}

package enum ManifestDeletion: Sendable, Hashable {
    case deleted
    case unknown
    /// An index of the repository names it.
    case needed(by: Digest)
}
