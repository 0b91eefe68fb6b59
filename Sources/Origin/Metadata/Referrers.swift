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
    ///   - annotationBytesMax: Of all annotations of the page; one manifest comes whatever it has.
    package func referrers(
        repositoryID: Int64,
        subject: Digest,
        artifactType: String? = nil,
        after last: Digest? = nil,
        limit: Int,
        annotationBytesMax: Int64
    ) async throws(DatabaseError) -> Page<ReferrerRecord> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                WITH page AS (
                    SELECT digest, media_type, octet_length(body)::bigint AS size_bytes, artifact_type, annotations
                    FROM manifests
                    WHERE repository_id = $1 AND subject_digest = $2 AND digest > $3
                        AND ($4::text IS NULL OR artifact_type = $4)
                    ORDER BY digest LIMIT $5 + 1
                ), measured AS (
                    SELECT *, row_number() OVER by_digest AS number, count(*) OVER () AS found_count,
                        sum(coalesce(octet_length(annotations), 0)) OVER by_digest AS bytes
                    FROM page WINDOW by_digest AS (ORDER BY digest)
                )
                SELECT digest, media_type, size_bytes, artifact_type, annotations, found_count FROM measured
                WHERE number <= $5 AND (number = 1 OR bytes <= $6) ORDER BY digest
                """,
                .int8(repositoryID), .digest(subject), .text(last?.description ?? ""), .text(artifactType),
                .int8(Int64(limit)), .int8(annotationBytesMax))
            var records: [ReferrerRecord] = []
            for row in rows { records.append(try ReferrerRecord(row)) }
            let foundCount: Int64 = try rows.first.map { row throws(DatabaseError) in try row[5] } ?? 0
            return Page(records, isCut: records.count < foundCount)
        }
    }
}
