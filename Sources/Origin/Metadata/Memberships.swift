// SPDX-License-Identifier: Apache-2.0

/// A user in an organization.
package struct Membership: Sendable, Hashable {
    package let user: UserRecord
    package let role: Role
}

extension Database {
    /// Users of an organization, by name.
    package func members(
        ofOrganization id: Int64, after name: String, limit: Int
    ) async throws(DatabaseError) -> Page<Membership> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT u.id, u.name, u.is_administrator, m.role
                FROM memberships m JOIN users u ON u.id = m.user_id
                WHERE m.organization_id = $1 AND u.name > $2 ORDER BY u.name LIMIT $3
                """,
                .int8(id), .text(name), .int8(Int64(limit) + 1))
            var members: [Membership] = []
            for row in rows {
                let user = UserRecord(id: try row[0], name: try row[1], isAdministrator: try row[2])
                members.append(Membership(user: user, role: try row[3]))
            }
            return Page(members, limit: limit)
        }
    }
}

extension Session {
    /// Puts a user into an organization, or changes what it is there.
    package func setMembership(user: Int64, inOrganization id: Int64, role: Role) throws(DatabaseError) {
        try query(
            """
            INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, $3)
            ON CONFLICT (organization_id, user_id) DO UPDATE SET role = EXCLUDED.role
            """,
            .int8(id), .int8(user), .text(role.rawValue))
    }

    /// Pull tokens that the user made as a member go, too.
    /// - Returns: Whether the user was in the organization.
    package func endMembership(user: Int64, inOrganization id: Int64) throws(DatabaseError) -> Bool {
        try query(
            "DELETE FROM memberships WHERE organization_id = $1 AND user_id = $2", .int8(id), .int8(user)
        ).affectedCount == 1
    }
}
