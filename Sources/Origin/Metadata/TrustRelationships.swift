// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// Jobs of which CI system become a token of a project. The rules are kept as text; whoever judges them parses it.
package struct TrustRecord: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let organizationID: Int64
    package let projectID: Int64
    package let content: Content

    package struct Content: Sendable, Hashable {
        package let name: String
        package let provider: String
        package let issuer: String
        package let audience: String
        /// JSON.
        package let conditions: String
        package let allowsForks: Bool

        package init(
            name: String, provider: String, issuer: String, audience: String, conditions: String, allowsForks: Bool
        ) {
            self.name = name
            self.provider = provider
            self.issuer = issuer
            self.audience = audience
            self.conditions = conditions
            self.allowsForks = allowsForks
        }
    }

    /// Columns: id, organization_id, project_id, name, provider, issuer, audience, conditions, allows_forks.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        id = try row[0]
        organizationID = try row[1]
        projectID = try row[2]
        content = Content(
            name: try row[3], provider: try row[4], issuer: try row[5], audience: try row[6], conditions: try row[7],
            allowsForks: try row[8])
    }
}

extension Database {
    /// What an issuer's tokens may be trusted with: oldest first, at most `limit`.
    /// - Parameter project: Only of the project with this public id; `nil`: of all.
    package func trustRelationships(
        withIssuer issuer: String, project: String?, limit: Int
    ) async throws(DatabaseError) -> [TrustRecord] {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, organization_id, project_id, name, provider, issuer, audience, conditions, allows_forks
                FROM trust_relationships
                WHERE issuer = $1
                    AND ($2::text IS NULL OR project_id = (SELECT id FROM projects WHERE public_id = $2))
                ORDER BY id LIMIT $3
                """,
                .text(issuer), .text(project), .int8(Int64(limit)))
            var records: [TrustRecord] = []
            for row in rows { records.append(try TrustRecord(row)) }
            return records
        }
    }

    /// Those of a project, in the order in which they were made.
    package func trustRelationships(
        ofProject id: Int64, after last: Int64, limit: Int
    ) async throws(DatabaseError) -> Page<TrustRecord> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, organization_id, project_id, name, provider, issuer, audience, conditions, allows_forks
                FROM trust_relationships WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3
                """,
                .int8(id), .int8(last), .int8(Int64(limit) + 1))
            var records: [TrustRecord] = []
            for row in rows { records.append(try TrustRecord(row)) }
            return Page(records, limit: limit)
        }
    }

    /// - Parameter tokenID: Of the identity token, as its issuer names it.
    /// - Returns: `false` if it was exchanged before, by this origin or another.
    package func beginExchange(
        issuer: String, tokenID: String, expiresAt: Date
    ) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try session.query(
                """
                INSERT INTO exchanged_identities (issuer, token_id, expires_at) VALUES ($1, $2, $3)
                ON CONFLICT DO NOTHING
                """,
                .text(issuer), .text(tokenID), .timestamptz(expiresAt)
            ).affectedCount == 1
        }
    }
}

extension Session {
    /// - Throws: `.uniqueViolation` if the project has one of this name.
    package func createTrustRelationship(
        _ content: TrustRecord.Content, ofProject project: Project
    ) throws(DatabaseError) -> TrustRecord {
        let rows = try query(
            """
            INSERT INTO trust_relationships (
                organization_id, project_id, name, provider, issuer, audience, conditions, allows_forks)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            RETURNING id, organization_id, project_id, name, provider, issuer, audience, conditions, allows_forks
            """,
            .int8(project.organizationID), .int8(project.id), .text(content.name), .text(content.provider),
            .text(content.issuer), .text(content.audience), .text(content.conditions), .bool(content.allowsForks))
        guard let row = rows.first else { throw .vanished("trust relationship") }
        return try TrustRecord(row)
    }

    /// Keeps a relationship from being ended until the transaction is.
    /// - Returns: Slug of its organization; `nil` if it has been ended.
    package func lockTrustRelationship(id: Int64) throws(DatabaseError) -> String? {
        let rows = try query(
            """
            SELECT o.slug FROM trust_relationships t JOIN organizations o ON o.id = t.organization_id
            WHERE t.id = $1 FOR SHARE OF t
            """,
            .int8(id))
        guard let row = rows.first else { return nil }
        return try row[0]
    }

    /// Ends the trust, and with it the tokens that were given out for it and the pull tokens made with those.
    /// - Returns: Its name; `nil` if the project has none with this id.
    package func deleteTrustRelationship(id: Int64, ofProject projectID: Int64) throws(DatabaseError) -> String? {
        let rows = try query(
            "DELETE FROM trust_relationships WHERE id = $1 AND project_id = $2 RETURNING name",
            .int8(id), .int8(projectID))
        guard let row = rows.first else { return nil }
        let name: String = try row[0]
        try query(
            """
            UPDATE tokens SET revoked_at = now()
            WHERE project_id = $1 AND kind = 'trust' AND name = $2 AND revoked_at IS NULL
            """,
            .int8(projectID), .text(name))
        return name
    }
}
