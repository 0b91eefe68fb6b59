// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Which references of a pushed manifest may be to content that the repository does not hold.
package enum MissingReferences: String, Sendable, CaseIterable, SQLTextDecodable {
    /// None.
    case none
    /// Manifests that an index names; their blobs must be there when they are pushed.
    case children
    /// Any.
    case all
}

package struct Organization: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let slug: OrganizationSlug
    /// 16 of `[a-z0-9]`, random: the organization in links.
    package let label: String
    package let missingReferences: MissingReferences

    package init(id: Int64, slug: OrganizationSlug, label: String, missingReferences: MissingReferences) {
        self.id = id
        self.slug = slug
        self.label = label
        self.missingReferences = missingReferences
    }

    /// Columns: id, slug, label, missing_references.
    fileprivate init(_ row: Row, default missingReferences: MissingReferences) throws(DatabaseError) {
        id = try row[0]
        slug = try row[1]
        label = try row[2]
        self.missingReferences = try row[optional: 3] ?? missingReferences
    }
}

extension Database {
    package func organization(slug: OrganizationSlug) async throws(DatabaseError) -> Organization? {
        let missingReferencesDefault = configuration.missingReferencesDefault
        return try await run { session throws(DatabaseError) in
            let rows = try session.query(
                "SELECT id, slug, label, missing_references FROM organizations WHERE slug = $1", .text(slug.text))
            guard let row = rows.first else { return nil }
            return try Organization(row, default: missingReferencesDefault)
        }
    }

    package func organization(id: Int64) async throws(DatabaseError) -> Organization? {
        let missingReferencesDefault = configuration.missingReferencesDefault
        return try await run { session throws(DatabaseError) in
            let rows = try session.query(
                "SELECT id, slug, label, missing_references FROM organizations WHERE id = $1", .int8(id))
            guard let row = rows.first else { return nil }
            return try Organization(row, default: missingReferencesDefault)
        }
    }

    /// Organizations by slug.
    /// - Parameter ids: Only these; `nil`: all.
    package func organizations(
        _ ids: [Int64]?, after slug: String, limit: Int
    ) async throws(DatabaseError) -> Page<Organization> {
        let missingReferencesDefault = configuration.missingReferencesDefault
        return try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, slug, label, missing_references FROM organizations
                WHERE slug > $1 AND ($2 OR id = ANY ($3)) ORDER BY slug LIMIT $4
                """,
                .text(slug), .bool(ids == nil), .int8Array(ids ?? []), .int8(Int64(limit) + 1))
            var organizations: [Organization] = []
            for row in rows { organizations.append(try Organization(row, default: missingReferencesDefault)) }
            return Page(organizations, limit: limit)
        }
    }

    /// Creates the organization, or returns the one that has the slug.
    /// - Parameter label: Random; kept only if the organization is created.
    package func createOrganization(
        slug: OrganizationSlug,
        label: String
    ) async throws(DatabaseError) -> Organization {
        _ = try await run { session throws(DatabaseError) in
            try session.createOrganization(slug: slug, label: label)
        }
        guard let organization = try await organization(slug: slug) else { throw .vanished("organization") }
        return organization
    }
}

extension Session {
    /// - Parameter label: Random; kept only if the organization is created.
    /// - Returns: Whether it is new.
    package func createOrganization(slug: OrganizationSlug, label: String) throws(DatabaseError) -> Bool {
        try query(
            "INSERT INTO organizations (slug, label) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING",
            .text(slug.text), .text(label)
        ).affectedCount == 1
    }

    /// - Parameter setting: `nil`: the deployment's default.
    package func setMissingReferences(
        _ setting: MissingReferences?, ofOrganization id: Int64
    ) throws(DatabaseError) {
        try query(
            "UPDATE organizations SET missing_references = $2 WHERE id = $1", .int8(id), .text(setting?.rawValue))
    }

    /// Deletes an organization with its projects, tokens, trust relationships and memberships. What was done in it stays
    /// in the audit log, and bytes stay until they are collected.
    /// - Parameter withRepositories: Whether those go, too; they keep it otherwise.
    /// - Returns: `false` if it still has repositories, and stays.
    package func deleteOrganization(id: Int64, withRepositories: Bool) throws(DatabaseError) -> Bool {
        // A first push waits, and then finds it gone.
        try query("SELECT FROM organizations WHERE id = $1 FOR UPDATE", .int8(id))
        if withRepositories { try query("DELETE FROM repositories WHERE organization_id = $1", .int8(id)) }
        let rows = try query("SELECT EXISTS (SELECT FROM repositories WHERE organization_id = $1)", .int8(id))
        guard let row = rows.first, try !(row[0] as Bool) else { return false }
        try query("DELETE FROM organizations WHERE id = $1", .int8(id))
        return true
    }
}

extension DatabaseError {
    /// A row that was written a moment ago is gone: somebody deleted it in between.
    static func vanished(_ what: String) -> DatabaseError {
        DatabaseError(.other, message: "the \(what) was deleted while it was being made")
    }
}
