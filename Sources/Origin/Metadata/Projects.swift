// SPDX-License-Identifier: Apache-2.0

package struct Project: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let organizationID: Int64
    /// 10 of `[a-z0-9]`, random: the name of its repository, and how commands call it.
    package let publicID: String
    package let name: String

    package init(id: Int64, organizationID: Int64, publicID: String, name: String) {
        self.id = id
        self.organizationID = organizationID
        self.publicID = publicID
        self.name = name
    }

    /// Columns: id, organization_id, public_id, name.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        self.init(id: try row[0], organizationID: try row[1], publicID: try row[2], name: try row[3])
    }
}

extension Database {
    package func project(_ publicID: String, inOrganization id: Int64) async throws(DatabaseError) -> Project? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                "SELECT id, organization_id, public_id, name FROM projects WHERE organization_id = $1 AND public_id = $2",
                .int8(id), .text(publicID))
            guard let row = rows.first else { return nil }
            return try Project(row)
        }
    }

    /// Public ids of projects by their ids.
    package func projectIDs(_ ids: [Int64]) async throws(DatabaseError) -> [Int64: String] {
        guard !ids.isEmpty else { return [:] }
        return try await run { session throws(DatabaseError) in
            var found: [Int64: String] = [:]
            for row in try session.query("SELECT id, public_id FROM projects WHERE id = ANY ($1)", .int8Array(ids)) {
                found[try row[0]] = try row[1]
            }
            return found
        }
    }

    /// Projects of an organization, by name.
    package func projects(
        ofOrganization id: Int64, after name: String, limit: Int
    ) async throws(DatabaseError) -> Page<Project> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, organization_id, public_id, name FROM projects
                WHERE organization_id = $1 AND name > $2 ORDER BY name LIMIT $3
                """,
                .int8(id), .text(name), .int8(Int64(limit) + 1))
            var projects: [Project] = []
            for row in rows { projects.append(try Project(row)) }
            return Page(projects, limit: limit)
        }
    }
}

extension Session {
    /// Creates the project, or returns the one that has the name.
    /// - Parameter publicID: Random; kept only if the project is created.
    package func createProject(
        name: String, publicID: String, inOrganization id: Int64
    ) throws(DatabaseError) -> (project: Project, isNew: Bool) {
        let made = try query(
            """
            INSERT INTO projects (organization_id, public_id, name) VALUES ($1, $2, $3)
            ON CONFLICT (organization_id, name) DO NOTHING
            """,
            .int8(id), .text(publicID), .text(name))
        let rows = try query(
            "SELECT id, organization_id, public_id, name FROM projects WHERE organization_id = $1 AND name = $2",
            .int8(id), .text(name))
        guard let row = rows.first else { throw .vanished("project") }
        return (try Project(row), made.affectedCount == 1)
    }

    /// Deletes a project with its tokens and trust relationships.
    /// - Parameter withRepositories: Whether those that are linked to it go, too; they keep it otherwise.
    /// - Returns: `false` if it still has repositories, and stays.
    package func deleteProject(id: Int64, withRepositories: Bool) throws(DatabaseError) -> Bool {
        // Who links a repository to it waits, and then finds it gone.
        try query("SELECT FROM projects WHERE id = $1 FOR UPDATE", .int8(id))
        if withRepositories { try query("DELETE FROM repositories WHERE project_id = $1", .int8(id)) }
        let rows = try query("SELECT EXISTS (SELECT FROM repositories WHERE project_id = $1)", .int8(id))
        guard let row = rows.first, try !(row[0] as Bool) else { return false }
        try query("DELETE FROM projects WHERE id = $1", .int8(id))
        return true
    }
}
