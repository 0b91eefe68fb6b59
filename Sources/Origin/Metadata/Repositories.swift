// SPDX-License-Identifier: Apache-2.0

package import OCI

package struct Repository: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let organizationID: Int64
    package let name: RepositoryName

    package init(id: Int64, organizationID: Int64, name: RepositoryName) {
        self.id = id
        self.organizationID = organizationID
        self.name = name
    }
}

extension Database {
    package func repository(
        organizationID: Int64,
        name: RepositoryName
    ) async throws(DatabaseError) -> Repository? {
        try await run { session throws(DatabaseError) in
            try session.repository(organizationID: organizationID, name: name)
        }
    }

    /// The repository of that name, created if it is not there. First pushes at the same time all succeed.
    package func ensureRepository(
        organizationID: Int64,
        name: RepositoryName
    ) async throws(DatabaseError) -> Repository {
        try await run { session throws(DatabaseError) in
            // Looking first spares the identity column a number per push.
            if let repository = try session.repository(organizationID: organizationID, name: name) { return repository }
            try session.query(
                """
                INSERT INTO repositories (organization_id, name) VALUES ($1, $2)
                ON CONFLICT (organization_id, name) DO NOTHING
                """,
                .int8(organizationID), .text(name.text))
            guard let repository = try session.repository(organizationID: organizationID, name: name) else {
                throw .vanished("repository")
            }
            return repository
        }
    }
}

extension Database {
    /// Names of repositories as `ORGANIZATION/NAME`, in the order of their bytes.
    ///
    /// - Parameters:
    ///   - organizationID: Only those of this organization; `nil`: all.
    ///   - last: Only those after this text, which need not be a name.
    ///   - limit: At most so many; not negative.
    package func repositoryNames(
        organizationID: Int64?,
        after last: String?,
        limit: Int
    ) async throws(DatabaseError) -> Page<String> {
        try await run { session throws(DatabaseError) in
            // Slug and name together: `a-b/x` sorts before `a/x`, though `a` sorts before `a-b`.
            let rows = try session.query(
                """
                SELECT o.slug || '/' || r.name AS path
                FROM repositories r JOIN organizations o ON o.id = r.organization_id
                WHERE ($1::bigint IS NULL OR r.organization_id = $1) AND o.slug || '/' || r.name > $2
                ORDER BY path LIMIT $3
                """,
                .int8(organizationID), .text(last ?? ""), .int8(Int64(limit) + 1))
            var names: [String] = []
            for row in rows { names.append(try row[0]) }
            return Page(names, limit: limit)
        }
    }
}

extension Session {
    fileprivate func repository(
        organizationID: Int64,
        name: RepositoryName
    ) throws(DatabaseError) -> Repository? {
        let rows = try query(
            "SELECT id FROM repositories WHERE organization_id = $1 AND name = $2",
            .int8(organizationID), .text(name.text))
        guard let row = rows.first else { return nil }
        return Repository(id: try row[0], organizationID: organizationID, name: name)
    }
}
