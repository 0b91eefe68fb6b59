// SPDX-License-Identifier: Apache-2.0

package import OCI

/// A manifest as the list of its subject's referrers shows it (distribution-spec 1.1, "Listing Referrers").
package struct ReferrerRecord: Sendable, Hashable {
    package let digest: Digest
    package let mediaType: String
    package let sizeBytes: Int64
    package let artifactType: String?
    /// A JSON object; `nil` if the manifest has no annotations.
    package let annotations: [UInt8]?

    package init(
        digest: Digest,
        mediaType: String,
        sizeBytes: Int64,
        artifactType: String?,
        annotations: [UInt8]?
    ) {
        self.digest = digest
        self.mediaType = mediaType
        self.sizeBytes = sizeBytes
        self.artifactType = artifactType
        self.annotations = annotations
    }

    /// Columns: digest, media_type, size, artifact_type, annotations.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        digest = try row[0]
        mediaType = try row[1]
        sizeBytes = try row[2]
        artifactType = try row[optional: 3]
        annotations = try row[optional: 4]
    }
}

extension Database {
    /// Manifests that point at `subject`, which need not be there, in the order of their digests.
    ///
    /// - Parameters:
    ///   - artifactType: Only those of this type.
    ///   - last: Only those after this one, which need not be there.
    ///   - limit: At most so many; not negative.
    ///   - annotationBytesMax: Ends the page before the annotations of those in front exceed it, however few these are.
    package func referrers(
        repositoryID: Int64,
        subject: Digest,
        artifactType: String? = nil,
        after last: Digest? = nil,
        limit: Int,
        annotationBytesMax: Int64
    ) async throws(DatabaseError) -> [ReferrerRecord] {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                WITH page AS (
                    SELECT digest, media_type, octet_length(body)::bigint AS size_bytes, artifact_type, annotations
                    FROM manifests
                    WHERE repository_id = $1 AND subject_digest = $2 AND digest > $3
                        AND ($4::text IS NULL OR artifact_type = $4)
                    ORDER BY digest LIMIT $5
                ), measured AS (
                    SELECT *, sum(octet_length(annotations)) OVER (
                        ORDER BY digest ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                    FROM page
                )
                SELECT digest, media_type, size_bytes, artifact_type, annotations FROM measured
                WHERE coalesce(bytes_before, 0) <= $6 ORDER BY digest
                """,
                .int8(repositoryID), .digest(subject), .text(last?.description ?? ""), .text(artifactType),
                .int8(Int64(limit)), .int8(annotationBytesMax))
            var records: [ReferrerRecord] = []
            for row in rows { records.append(try ReferrerRecord(row)) }
            return records
        }
    }

    /// Those of `digests` that are manifests of the repository and do not themselves say that they point at `subject`.
    package func manifests(
        among digests: [Digest],
        notPointingAt subject: Digest,
        repositoryID: Int64
    ) async throws(DatabaseError) -> Set<Digest> {
        guard !digests.isEmpty else { return [] }
        return try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT digest FROM manifests
                WHERE repository_id = $1 AND digest = ANY ($2) AND subject_digest IS DISTINCT FROM $3
                """,
                .int8(repositoryID), .digests(digests), .digest(subject))
            var found: Set<Digest> = []
            for row in rows { found.insert(try row[0]) }
            return found
        }
    }
}
