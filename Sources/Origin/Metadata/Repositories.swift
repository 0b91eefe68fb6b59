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
