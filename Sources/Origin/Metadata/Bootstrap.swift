// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import OCI

/// What a new deployment begins with: one organization, one administrator, and a token for each.
package struct BootstrapSeed: Sendable {
    package let organization: OrganizationSlug
    package let organizationLabel: String
    package let organizationTokenSHA256: [UInt8]
    package let userName: String
    package let userTokenSHA256: [UInt8]

    package init(
        organization: OrganizationSlug,
        organizationLabel: String,
        organizationTokenSHA256: [UInt8],
        userName: String,
        userTokenSHA256: [UInt8]
    ) {
        self.organization = organization
        self.organizationLabel = organizationLabel
        self.organizationTokenSHA256 = organizationTokenSHA256
        self.userName = userName
        self.userTokenSHA256 = userTokenSHA256
    }
}

extension Database {
    /// Any fixed number that no other use of advisory locks here has.
    private static let bootstrapLock: Int64 = 0x6465_706F_7402

    /// Whether the deployment has an administrator.
    package func isBootstrapped() async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in try Self.isBootstrapped(session) }
    }

    /// Makes the first organization, administrator and tokens, once: of origins that start together, one does it.
    /// - Parameter event: For the audit log.
    /// - Returns: `false` if it was done before; then nothing changed and the seed's tokens are worthless.
    package func bootstrap(_ seed: BootstrapSeed, _ event: AuditEvent) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in try Self.bootstrap(seed, event, session) }
    }

    /// Opens a one-time token for the first credentials. What is open already stays open.
    package func openBootstrap(tokenSHA256: [UInt8]) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                "INSERT INTO bootstrap_tokens (secret_sha256) VALUES ($1) ON CONFLICT DO NOTHING",
                .bytea(tokenSHA256))
        }
    }

    /// Whether a one-time token was redeemed not longer than that ago.
    package func isBootstrapRedeemed(within grace: Duration) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try !session.query(
                "SELECT FROM bootstrap_tokens WHERE redeemed_at > now() - make_interval(secs => $1)", .seconds(grace)
            ).isEmpty
        }
    }

    /// As `bootstrap`, for whoever has an open one-time token; all others are thereby closed.
    /// - Parameters:
    ///   - salt: What the seed is made with if this is the first call; random.
    ///   - grace: For so long after the first call, another one finds what that has made: its answer may be lost.
    ///   - seed: Makes it of the token and a salt.
    /// - Returns: The salt that it was made with; `nil` if the token is not open, or the deployment has an administrator
    ///   otherwise.
    package func redeemBootstrap(
        tokenSHA256: [UInt8], salt: [UInt8], grace: Duration, _ event: AuditEvent,
        seed: @escaping @Sendable (_ salt: [UInt8]) -> BootstrapSeed
    ) async throws(DatabaseError) -> [UInt8]? {
        try await transaction { session throws(DatabaseError) in
            let open = try session.query(
                """
                SELECT salt FROM bootstrap_tokens
                WHERE secret_sha256 = $1
                    AND (redeemed_at IS NULL OR redeemed_at > now() - make_interval(secs => $2)) FOR UPDATE
                """,
                .bytea(tokenSHA256), .seconds(grace))
            guard let row = open.first else { return nil }
            if let former: [UInt8] = try row[optional: 0] { return former }
            let isMade = try Self.bootstrap(seed(salt), event, session)
            // One that came too late stands for nothing.
            try session.query(
                "DELETE FROM bootstrap_tokens WHERE secret_sha256 <> $1 OR NOT $2", .bytea(tokenSHA256), .bool(isMade))
            try session.query("UPDATE bootstrap_tokens SET redeemed_at = now(), salt = $1", .bytea(salt))
            return isMade ? salt : nil
        }
    }

    private static func bootstrap(
        _ seed: BootstrapSeed, _ event: AuditEvent, _ session: Session
    ) throws(DatabaseError) -> Bool {
        try session.query("SELECT pg_advisory_xact_lock($1)", .int8(Self.bootstrapLock))
        guard try !Self.isBootstrapped(session) else { return false }
        _ = try session.createOrganization(slug: seed.organization, label: seed.organizationLabel)
        try session.query(
            """
            INSERT INTO users (name, is_administrator) VALUES ($1, true)
            ON CONFLICT (name) DO UPDATE SET is_administrator = true
            """,
            .text(seed.userName))
        let rows = try session.query(
            "SELECT o.id, u.id FROM organizations o, users u WHERE o.slug = $1 AND u.name = $2",
            .text(seed.organization.text), .text(seed.userName))
        guard let row = rows.first else { throw .vanished("first organization") }
        let (organizationID, userID): (Int64, Int64) = (try row[0], try row[1])
        try session.setMembership(user: userID, inOrganization: organizationID, role: .owner)
        try session.insertToken(
            NewToken(
                kind: .organization, owner: .organization(organizationID), name: "bootstrap",
                secretSHA256: seed.organizationTokenSHA256, expiresAt: nil))
        try session.insertToken(
            NewToken(
                kind: .user, owner: .user(userID), name: "bootstrap", secretSHA256: seed.userTokenSHA256,
                expiresAt: nil))
        try session.appendAudit(event, at: Date())
        return true
    }

    private static func isBootstrapped(_ session: Session) throws(DatabaseError) -> Bool {
        guard let row = try session.query("SELECT EXISTS (SELECT FROM users WHERE is_administrator)").first else {
            return false
        }
        return try row[0]
    }
}
