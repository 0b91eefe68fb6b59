// SPDX-License-Identifier: Apache-2.0

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
    /// - Returns: `false` if it was done before; then nothing changed and the seed's tokens are worthless.
    package func bootstrap(_ seed: BootstrapSeed) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in try Self.bootstrap(seed, session) }
    }

    /// Opens a one-time token for the first credentials. What is open already stays open.
    package func openBootstrap(tokenSHA256: [UInt8]) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                "INSERT INTO bootstrap_tokens (secret_sha256) VALUES ($1) ON CONFLICT DO NOTHING",
                .bytea(tokenSHA256))
        }
    }

    /// As `bootstrap`, for whoever has an open one-time token, which is thereby closed, like all others.
    /// - Returns: `false` if the token is not open, or the deployment has an administrator.
    package func redeemBootstrap(
        tokenSHA256: [UInt8], _ seed: BootstrapSeed
    ) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in
            let open = try session.query(
                "SELECT FROM bootstrap_tokens WHERE secret_sha256 = $1 FOR UPDATE", .bytea(tokenSHA256))
            guard !open.isEmpty else { return false }
            try session.query("DELETE FROM bootstrap_tokens")
            return try Self.bootstrap(seed, session)
        }
    }

    private static func bootstrap(_ seed: BootstrapSeed, _ session: Session) throws(DatabaseError) -> Bool {
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
        return true
    }

    private static func isBootstrapped(_ session: Session) throws(DatabaseError) -> Bool {
        guard let row = try session.query("SELECT EXISTS (SELECT FROM users WHERE is_administrator)").first else {
            return false
        }
        return try row[0]
    }
}
