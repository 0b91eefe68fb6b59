// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// A token to be made.
package struct NewToken: Sendable {
    package let kind: TokenKind
    package let owner: TokenOwner
    package let name: String
    /// 32 bytes.
    package let secretSHA256: [UInt8]
    package let expiresAt: Date?
    /// Of a pull token that somebody made with another token.
    package let maker: TokenMaker?

    package init(
        kind: TokenKind, owner: TokenOwner, name: String, secretSHA256: [UInt8], expiresAt: Date?,
        maker: TokenMaker? = nil
    ) {
        self.kind = kind
        self.owner = owner
        self.name = name
        self.secretSHA256 = secretSHA256
        self.expiresAt = expiresAt
        self.maker = maker
    }
}

/// What a pull token was made with. It ends when the token is revoked or deleted, or the membership ends.
package struct TokenMaker: Sendable, Hashable {
    package let tokenID: Int64
    /// The user who made it as a member of the organization; `nil`: it was made for another reason.
    package let memberID: Int64?

    package init(tokenID: Int64, memberID: Int64?) {
        self.tokenID = tokenID
        self.memberID = memberID
    }
}

/// Whose a token is; also which tokens a list is of.
package enum TokenOwner: Sendable, Hashable {
    case user(Int64)
    case organization(Int64)
    case project(Int64, organizationID: Int64)
    /// - reference: A tag or a digest.
    case repository(Int64, reference: String?, organizationID: Int64)

    fileprivate var columns: (user: Int64?, organization: Int64?, project: Int64?, repository: Int64?) {
        switch self {
        case .user(let id): (id, nil, nil, nil)
        case .organization(let id): (nil, id, nil, nil)
        case .project(let id, let organizationID): (nil, organizationID, id, nil)
        case .repository(let id, _, let organizationID): (nil, organizationID, nil, id)
        }
    }

    fileprivate var reference: String? {
        if case .repository(_, let reference, _) = self { reference } else { nil }
    }
}

extension Database {
    /// - Parameter secretSHA256: 32 bytes.
    package func token(secretSHA256: [UInt8]) async throws(DatabaseError) -> TokenRecord? {
        try await run { session throws(DatabaseError) in try session.token(secretSHA256: secretSHA256) }
    }

    package func token(id: Int64) async throws(DatabaseError) -> TokenRecord? {
        try await run { session throws(DatabaseError) in try session.token(id: id) }
    }

    /// Tokens of an organization, those of its projects and repositories included, or of a user; oldest first. Those that
    /// ended long ago are swept and not there.
    /// - Parameter after: Only those with a higher id.
    package func tokens(
        of owner: TokenOwner, after id: Int64, limit: Int
    ) async throws(DatabaseError) -> Page<TokenRecord> {
        let columns = owner.columns
        return try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT * FROM token_details
                WHERE id > $1 AND (user_id = $2 OR organization_id = $3) AND ($4::bigint IS NULL OR project_id = $4)
                ORDER BY id LIMIT $5
                """,
                .int8(id), .int8(columns.user), .int8(columns.organization), .int8(columns.project),
                .int8(Int64(limit) + 1))
            var tokens: [TokenRecord] = []
            for row in rows { tokens.append(try TokenRecord(row)) }
            return Page(tokens, limit: limit)
        }
    }

    /// Creates the token, or returns the one that has the secret, as it is: a revoked one stays revoked.
    /// - Throws: `.foreignKeyViolation` if its owner or maker is not there, or the maker is revoked; `.other` (23514) if the
    ///   kind is not one of the owner.
    package func createToken(_ token: NewToken) async throws(DatabaseError) -> TokenRecord {
        try await run { session throws(DatabaseError) in try session.createToken(token) }
    }

    /// Writes down that tokens were used. At most once a minute for each.
    package func recordUse(ofTokens ids: [Int64]) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                UPDATE tokens SET last_used_at = now()
                WHERE id = ANY ($1) AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
                """,
                .int8Array(ids))
        }
    }

    /// Removes tokens that expired longer ago than `age`, what was kept so that no identity is exchanged twice, and what
    /// redeemed one-time tokens could still be used for.
    package func removeEndedTokens(olderThan age: Duration) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            try session.query(
                "DELETE FROM tokens WHERE expires_at < now() - make_interval(secs => $1)", .seconds(age))
            try session.query(
                "DELETE FROM exchanged_identities WHERE expires_at < now() - make_interval(secs => $1)", .seconds(age))
            try session.query("DELETE FROM bootstrap_tokens WHERE redeemed_at < now() - interval '1 hour'")
        }
    }
}

extension Session {
    /// As `Database.createToken`.
    package func createToken(_ token: NewToken) throws(DatabaseError) -> TokenRecord {
        try insertToken(token)
        guard let made = try self.token(secretSHA256: token.secretSHA256) else { throw .vanished("token") }
        if token.maker != nil && made.revokedAt != nil {
            throw DatabaseError(
                .foreignKeyViolation(constraint: "tokens_made_with_fkey"), message: "the token's maker is revoked")
        }
        return made
    }

    func insertToken(_ token: NewToken) throws(DatabaseError) {
        let columns = token.owner.columns
        try query(
            """
            INSERT INTO tokens (
                kind, organization_id, user_id, project_id, repository_id, reference, name, secret_sha256, expires_at,
                made_with, member_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (secret_sha256) DO NOTHING
            """,
            .text(token.kind.rawValue), .int8(columns.organization), .int8(columns.user), .int8(columns.project),
            .int8(columns.repository), .text(token.owner.reference), .text(token.name), .bytea(token.secretSHA256),
            .timestamptz(token.expiresAt), .int8(token.maker?.tokenID), .int8(token.maker?.memberID))
    }

    /// Whether the owner has a token of this kind and name that still counts. Who asks for the same waits until this
    /// transaction has ended: of two that make it at once, one does.
    package func hasLiveToken(
        _ kind: TokenKind, named name: String, of owner: TokenOwner
    ) throws(DatabaseError) -> Bool {
        let columns = owner.columns
        try query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", .text("\(kind) \(owner) \(name)"))
        let rows = try query(
            """
            SELECT EXISTS (
                SELECT FROM tokens
                WHERE kind = $6 AND name = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
                    AND user_id IS NOT DISTINCT FROM $2 AND organization_id IS NOT DISTINCT FROM $3
                    AND project_id IS NOT DISTINCT FROM $4 AND repository_id IS NOT DISTINCT FROM $5)
            """,
            .text(name), .int8(columns.user), .int8(columns.organization), .int8(columns.project),
            .int8(columns.repository), .text(kind.rawValue))
        guard let row = rows.first else { return false }
        return try row[0]
    }

    /// Withdraws a token of this user or organization, and with it the pull tokens that were made with it; one that is
    /// withdrawn stays as it is. Other origins are told.
    /// - Returns: It; `nil` if the owner has none with this id.
    package func revokeToken(id: Int64, of owner: TokenOwner) throws(DatabaseError) -> TokenRecord? {
        let columns = owner.columns
        let rows = try query(
            """
            UPDATE tokens SET revoked_at = coalesce(revoked_at, now())
            WHERE id = $1 AND (user_id = $2 OR organization_id = $3) RETURNING id
            """,
            .int8(id), .int8(columns.user), .int8(columns.organization))
        guard !rows.isEmpty else { return nil }
        return try token(id: id)
    }

    func token(id: Int64) throws(DatabaseError) -> TokenRecord? {
        guard let row = try query("SELECT * FROM token_details WHERE id = $1", .int8(id)).first else { return nil }
        return try TokenRecord(row)
    }

    func token(secretSHA256: [UInt8]) throws(DatabaseError) -> TokenRecord? {
        let rows = try query("SELECT * FROM token_details WHERE secret_sha256 = $1", .bytea(secretSHA256))
        guard let row = rows.first else { return nil }
        return try TokenRecord(row)
    }
}
