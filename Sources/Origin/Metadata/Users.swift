// SPDX-License-Identifier: Apache-2.0

package struct UserRecord: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let name: String
    /// Whether the user may administer the deployment.
    package let isAdministrator: Bool

    package init(id: Int64, name: String, isAdministrator: Bool) {
        self.id = id
        self.name = name
        self.isAdministrator = isAdministrator
    }
}

extension Database {
    /// Creates the user, or returns the one that has the name, as it is.
    package func createUser(name: String, isAdministrator: Bool) async throws(DatabaseError) -> UserRecord {
        try await run { session throws(DatabaseError) in
            try session.query(
                "INSERT INTO users (name, is_administrator) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
                .text(name), .bool(isAdministrator))
            let rows = try session.query(
                "SELECT id, name, is_administrator FROM users WHERE name = $1", .text(name))
            guard let row = rows.first else { throw .vanished("user") }
            return UserRecord(id: try row[0], name: try row[1], isAdministrator: try row[2])
        }
    }
}
