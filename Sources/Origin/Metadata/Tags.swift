// SPDX-License-Identifier: Apache-2.0

package import OCI

/// A tag of a repository.
package struct TagKey: Sendable, Hashable {
    package let repositoryID: Int64
    package let tag: Tag

    package init(repositoryID: Int64, tag: Tag) {
        self.repositoryID = repositoryID
        self.tag = tag
    }
}

extension Database {
    /// What the tags point at; those that are not there are left out. One statement for many requests.
    package func taggedDigests(_ keys: [TagKey]) async throws(DatabaseError) -> [TagKey: Digest] {
        try await run { session throws(DatabaseError) in
            var digests: [TagKey: Digest] = [:]
            let rows = try session.query(
                """
                SELECT t.repository_id, t.name, t.digest
                FROM unnest($1::bigint[], $2::text[]) AS wanted (repository_id, name)
                JOIN tags t ON t.repository_id = wanted.repository_id AND t.name = wanted.name
                """,
                .int8Array(keys.map(\.repositoryID)), .textArray(keys.map(\.tag.text)))
            for row in rows { digests[TagKey(repositoryID: try row[0], tag: try row[1])] = try row[2] }
            return digests
        }
    }

    /// Tags in the order of their bytes.
    /// - Parameters:
    ///   - last: Only those after this text, which need not be a tag.
    ///   - limit: At most so many; not negative.
    package func tags(
        repositoryID: Int64,
        after last: String?,
        limit: Int
    ) async throws(DatabaseError) -> Page<Tag> {
        try await run { session throws(DatabaseError) in
            var tags: [Tag] = []
            let rows = try session.query(
                "SELECT name FROM tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3",
                .int8(repositoryID), .text(last ?? ""), .int8(Int64(limit) + 1))
            for row in rows { tags.append(try row[0]) }
            return Page(tags, limit: limit)
        }
    }

    /// - Returns: `false` if it was not there.
    package func deleteTag(repositoryID: Int64, _ tag: Tag) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try session.query(
                "DELETE FROM tags WHERE repository_id = $1 AND name = $2", .int8(repositoryID), .text(tag.text)
            ).affectedCount == 1
        }
    }
}
