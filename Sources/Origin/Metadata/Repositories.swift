// SPDX-License-Identifier: Apache-2.0

package import OCI

package struct Repository: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let organizationID: Int64
    package let name: RepositoryName
    /// The project it is linked to.
    package let projectID: Int64?

    package init(id: Int64, organizationID: Int64, name: RepositoryName, projectID: Int64? = nil) {
        self.id = id
        self.organizationID = organizationID
        self.name = name
        self.projectID = projectID
    }
}

/// Which repositories a list is of.
package enum RepositoryFilter: Sendable, Hashable {
    case all
    case organizations([Int64])
    case project(Int64)
    case repository(Int64)

    fileprivate var isUnbounded: Bool { self == .all }

    fileprivate var columns: (organizations: [Int64]?, project: Int64?, repository: Int64?) {
        switch self {
        case .all: (nil, nil, nil)
        case .organizations(let ids): (ids, nil, nil)
        case .project(let id): (nil, id, nil)
        case .repository(let id): (nil, nil, id)
        }
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
            return try session.createRepository(organizationID: organizationID, name: name).repository
        }
    }

    /// Repositories of an organization, by name.
    /// - Parameter projectID: Only those linked to it; `nil`: all.
    package func repositories(
        organizationID: Int64, projectID: Int64?, after name: String, limit: Int
    ) async throws(DatabaseError) -> Page<Repository> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, name, project_id FROM repositories
                WHERE organization_id = $1 AND ($2::bigint IS NULL OR project_id = $2) AND name > $3
                ORDER BY name LIMIT $4
                """,
                .int8(organizationID), .int8(projectID), .text(name), .int8(Int64(limit) + 1))
            var repositories: [Repository] = []
            for row in rows {
                repositories.append(
                    Repository(
                        id: try row[0], organizationID: organizationID, name: try row[1],
                        projectID: try row[optional: 2]))
            }
            return Page(repositories, limit: limit)
        }
    }

    /// Names of repositories as `ORGANIZATION/NAME`, in the order of their bytes.
    ///
    /// - Parameters:
    ///   - last: Only those after this text, which need not be a name.
    ///   - limit: At most so many; not negative.
    package func repositoryNames(
        _ filter: RepositoryFilter,
        after last: String?,
        limit: Int
    ) async throws(DatabaseError) -> Page<String> {
        let columns = filter.columns
        return try await run { session throws(DatabaseError) in
            // Slug and name together: `a-b/x` sorts before `a/x`, though `a` sorts before `a-b`.
            let rows = try session.query(
                """
                SELECT o.slug || '/' || r.name AS path
                FROM repositories r JOIN organizations o ON o.id = r.organization_id
                WHERE ($1 OR r.organization_id = ANY ($2) OR r.project_id = $3 OR r.id = $4)
                    AND o.slug || '/' || r.name > $5
                ORDER BY path LIMIT $6
                """,
                .bool(filter.isUnbounded), .int8Array(columns.organizations ?? []), .int8(columns.project),
                .int8(columns.repository), .text(last ?? ""), .int8(Int64(limit) + 1))
            var names: [String] = []
            for row in rows { names.append(try row[0]) }
            return Page(names, limit: limit)
        }
    }

    /// Whether a manifest or blob is what `reference` names, or is named by that: by an index its children, by a
    /// manifest its blobs, and whatever has one of them as its subject.
    /// - Parameter reference: A tag or a digest.
    package func reaches(
        _ digest: Digest, from reference: String, inRepository id: Int64
    ) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                WITH RECURSIVE reached (digest, depth) AS (
                    SELECT m.digest, 0 FROM manifests m
                    WHERE m.repository_id = $1 AND m.digest = coalesce(
                        (SELECT t.digest FROM tags t WHERE t.repository_id = $1 AND t.name = $2), $2)
                UNION
                    SELECT named.digest, reached.depth + 1
                    FROM reached, LATERAL (
                        SELECT r.digest FROM manifest_references r
                        WHERE r.repository_id = $1 AND r.manifest_digest = reached.digest AND r.kind = 'child'
                    UNION ALL
                        SELECT m.digest FROM manifests m
                        WHERE m.repository_id = $1 AND m.subject_digest = reached.digest
                    ) named
                    WHERE reached.depth < 4
                )
                SELECT EXISTS (SELECT FROM reached WHERE digest = $3) OR EXISTS (
                    SELECT FROM reached JOIN manifest_references r ON r.manifest_digest = reached.digest
                    WHERE r.repository_id = $1 AND r.digest = $3)
                """,
                .int8(id), .text(reference), .digest(digest))
            guard let row = rows.first else { return false }
            return try row[0]
        }
    }
}

extension Session {
    package func repository(
        organizationID: Int64,
        name: RepositoryName
    ) throws(DatabaseError) -> Repository? {
        let rows = try query(
            "SELECT id, project_id FROM repositories WHERE organization_id = $1 AND name = $2",
            .int8(organizationID), .text(name.text))
        guard let row = rows.first else { return nil }
        return Repository(
            id: try row[0], organizationID: organizationID, name: name, projectID: try row[optional: 1])
    }

    /// Creates the repository, or returns the one that has the name. What is named by a project's id, or below that, is
    /// linked to the project.
    package func createRepository(
        organizationID: Int64,
        name: RepositoryName
    ) throws(DatabaseError) -> (repository: Repository, isNew: Bool) {
        let made = try query(
            """
            INSERT INTO repositories (organization_id, name, project_id)
            VALUES ($1, $2, (SELECT id FROM projects WHERE organization_id = $1 AND public_id = $3))
            ON CONFLICT (organization_id, name) DO NOTHING
            """,
            .int8(organizationID), .text(name.text), .text(String(name.text.prefix { $0 != "/" })))
        guard let repository = try repository(organizationID: organizationID, name: name) else {
            throw .vanished("repository")
        }
        return (repository, made.affectedCount == 1)
    }

    /// - Parameter projectID: Of the same organization; `nil`: of none.
    package func linkRepository(id: Int64, toProject projectID: Int64?) throws(DatabaseError) {
        try query("UPDATE repositories SET project_id = $2 WHERE id = $1", .int8(id), .int8(projectID))
    }

    /// Deletes a repository with its manifests, tags, upload sessions, and the tokens that reach nothing else.
    package func deleteRepository(id: Int64) throws(DatabaseError) {
        try query("DELETE FROM repositories WHERE id = $1", .int8(id))
    }
}
