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

    /// Columns: id, name, is_administrator.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        self.init(id: try row[0], name: try row[1], isAdministrator: try row[2])
    }
}

extension Database {
    package func user(name: String) async throws(DatabaseError) -> UserRecord? {
        try await run { session throws(DatabaseError) in try session.user(name: name) }
    }

    /// Users by name.
    package func users(after name: String, limit: Int) async throws(DatabaseError) -> Page<UserRecord> {
        try await run { session throws(DatabaseError) in
            var users: [UserRecord] = []
            let rows = try session.query(
                "SELECT id, name, is_administrator FROM users WHERE name > $1 ORDER BY name LIMIT $2",
                .text(name), .int8(Int64(limit) + 1))
            for row in rows { users.append(try UserRecord(row)) }
            return Page(users, limit: limit)
        }
    }

    /// Creates the user, or returns the one that has the name, as it is.
    package func createUser(name: String, isAdministrator: Bool) async throws(DatabaseError) -> UserRecord {
        try await run { session throws(DatabaseError) in
            try session.createUser(name: name, isAdministrator: isAdministrator).user
        }
    }
}

extension Session {
    package func user(name: String) throws(DatabaseError) -> UserRecord? {
        guard let row = try query("SELECT id, name, is_administrator FROM users WHERE name = $1", .text(name)).first
        else { return nil }
        return try UserRecord(row)
    }

    /// Creates the user, or returns the one that has the name, as it is.
    package func createUser(
        name: String, isAdministrator: Bool
    ) throws(DatabaseError) -> (user: UserRecord, isNew: Bool) {
        let made = try query(
            "INSERT INTO users (name, is_administrator) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            .text(name), .bool(isAdministrator))
        guard let user = try user(name: name) else { throw .vanished("user") }
        return (user, made.affectedCount == 1)
    }

    /// Deletes the user with its tokens and memberships.
    /// - Returns: `false` if it is the last one who may administer the deployment, and stays.
    package func deleteUser(id: Int64) throws(DatabaseError) -> Bool {
        // All administrators are locked, so that two cannot each delete the other.
        let administrators = try query("SELECT id FROM users WHERE is_administrator ORDER BY id FOR UPDATE")
        var ids: [Int64] = []
        for row in administrators { ids.append(try row[0]) }
        guard ids != [id] else { return false }
        try query("DELETE FROM users WHERE id = $1", .int8(id))
        return true
    }
}
