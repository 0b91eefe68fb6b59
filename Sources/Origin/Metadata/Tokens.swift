// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

package enum TokenKind: String, Sendable, CaseIterable, SQLTextDecodable {
    case user, organization, project, trust, pull
}

/// A token without its secret, of which only the SHA-256 is stored.
package struct TokenRecord: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let kind: TokenKind
    /// Set for every kind but `user`.
    package let organizationID: Int64?
    package let userID: Int64?
    /// Whether it is a user's token and that user may administer the deployment.
    package let isAdministrator: Bool
    package let name: String
    package let expiresAt: Date?
    package let revokedAt: Date?

    package init(
        id: Int64,
        kind: TokenKind,
        organizationID: Int64?,
        userID: Int64?,
        isAdministrator: Bool,
        name: String,
        expiresAt: Date?,
        revokedAt: Date?
    ) {
        self.id = id
        self.kind = kind
        self.organizationID = organizationID
        self.userID = userID
        self.isAdministrator = isAdministrator
        self.name = name
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }

    /// Columns: id, kind, organization_id, user_id, is_administrator, name, expires_at, revoked_at.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        id = try row[0]
        kind = try row[1]
        organizationID = try row[optional: 2]
        userID = try row[optional: 3]
        isAdministrator = try row[4]
        name = try row[5]
        expiresAt = try row[optional: 6]
        revokedAt = try row[optional: 7]
    }
}

extension Database {
    /// - Parameter secretSHA256: 32 bytes.
    package func token(secretSHA256: [UInt8]) async throws(DatabaseError) -> TokenRecord? {
        try await run { session throws(DatabaseError) in try session.token(secretSHA256: secretSHA256) }
    }

    package func token(id: Int64) async throws(DatabaseError) -> TokenRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT t.id, t.kind, t.organization_id, t.user_id,
                    t.kind = 'user' AND coalesce(u.is_administrator, false), t.name, t.expires_at, t.revoked_at
                FROM tokens t LEFT JOIN users u ON u.id = t.user_id
                WHERE t.id = $1
                """,
                .int8(id))
            guard let row = rows.first else { return nil }
            return try TokenRecord(row)
        }
    }

    /// Creates the token, or returns the one that has the secret, as it is: a revoked one stays revoked.
    /// - Throws: `.foreignKeyViolation` if organization or user are not there; `.other` (23514) if the kind lacks its
    ///   owner.
    package func createToken(
        kind: TokenKind,
        organizationID: Int64?,
        userID: Int64?,
        name: String,
        secretSHA256: [UInt8],
        expiresAt: Date?
    ) async throws(DatabaseError) -> TokenRecord {
        try await run { session throws(DatabaseError) in
            try session.insertToken(
                kind: kind,
                organizationID: organizationID,
                userID: userID,
                name: name,
                secretSHA256: secretSHA256,
                expiresAt: expiresAt)
            guard let token = try session.token(secretSHA256: secretSHA256) else { throw .vanished("token") }
            return token
        }
    }
}

extension Session {
    fileprivate func token(secretSHA256: [UInt8]) throws(DatabaseError) -> TokenRecord? {
        let rows = try query(
            """
            SELECT t.id, t.kind, t.organization_id, t.user_id,
                t.kind = 'user' AND coalesce(u.is_administrator, false), t.name, t.expires_at, t.revoked_at
            FROM tokens t LEFT JOIN users u ON u.id = t.user_id
            WHERE t.secret_sha256 = $1
            """,
            .bytea(secretSHA256))
        guard let row = rows.first else { return nil }
        return try TokenRecord(row)
    }

    func insertToken(
        kind: TokenKind,
        organizationID: Int64?,
        userID: Int64?,
        name: String,
        secretSHA256: [UInt8],
        expiresAt: Date?
    ) throws(DatabaseError) {
        try query(
            """
            INSERT INTO tokens (kind, organization_id, user_id, name, secret_sha256, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (secret_sha256) DO NOTHING
            """,
            .text(kind.rawValue), .int8(organizationID), .int8(userID), .text(name), .bytea(secretSHA256),
            .timestamptz(expiresAt))
    }
}
