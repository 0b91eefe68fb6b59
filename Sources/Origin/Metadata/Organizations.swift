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

    /// Creates the organization, or returns the one that has the slug.
    /// - Parameter label: Random; kept only if the organization is created.
    package func createOrganization(
        slug: OrganizationSlug,
        label: String
    ) async throws(DatabaseError) -> Organization {
        let missingReferencesDefault = configuration.missingReferencesDefault
        return try await run { session throws(DatabaseError) in
            try session.insertOrganization(slug: slug, label: label)
            let rows = try session.query(
                "SELECT id, slug, label, missing_references FROM organizations WHERE slug = $1", .text(slug.text))
            guard let row = rows.first else { throw .vanished("organization") }
            return try Organization(row, default: missingReferencesDefault)
        }
    }
}

extension Session {
    func insertOrganization(slug: OrganizationSlug, label: String) throws(DatabaseError) {
        try query(
            "INSERT INTO organizations (slug, label) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING",
            .text(slug.text), .text(label))
    }
}

extension DatabaseError {
    /// A row that was written a moment ago is gone: somebody deleted it in between.
    static func vanished(_ what: String) -> DatabaseError {
        DatabaseError(.other, message: "the \(what) was deleted while it was being made")
    }
}
