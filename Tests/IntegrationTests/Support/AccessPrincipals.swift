// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

/// Everybody who may ask, seen from one organization and one project in it.
enum Principal: String, CaseIterable, Sendable {
    // No credential, or none that counts.
    case nobody, unknownToken, revokedToken, expiredToken
    // Users.
    case administrator, owner, member, outsider
    // Tokens of organizations and projects.
    case organization, otherOrganization, project, otherProject
    // Of pulls: of the project, of one repository in it.
    case projectPull, repositoryPull

    var counts: Bool {
        switch self {
        case .nobody, .unknownToken, .revokedToken, .expiredToken: false
        default: true
        }
    }
}

/// Two organizations, and a token for each kind of principal.
struct AccessPrincipals: Sendable {
    let tenant: Tenant
    let other: Tenant
    private let secrets: [Principal: String]

    /// The repository that `repositoryPull` reaches.
    static let repository = "app"

    init(_ system: System) async throws {
        let admin = AdminClient(system)
        tenant = try await Tenant(system)
        other = try await Tenant(system)
        let ownName = "\(tenant.project)/\(Self.repository)"
        try await tenant.makeRepository(ownName)
        try await tenant.makeRepository("\(tenant.otherProject)/\(Self.repository)")
        try await other.makeRepository(Self.repository)
        let revoked = try await admin.token("\(tenant.path)/tokens", ["name": "revoked"])
        try await admin.done("DELETE", "\(tenant.path)/tokens/\(revoked.id)")
        let expired = try await admin.token("\(tenant.path)/tokens", ["name": "expired", "ttl_seconds": 1])
        try await waitUntil("a token of one second expires", every: .milliseconds(200)) {
            try await admin.asked(with: expired.secret).ask("GET", "identity").status == 401
        }
        secrets = [
            .unknownToken: MadeToken.unknown(), .revokedToken: revoked.secret, .expiredToken: expired.secret,
            .administrator: system.description.adminToken, .owner: tenant.owner.token.secret,
            .member: tenant.member.token.secret, .outsider: other.owner.token.secret,
            .organization: tenant.organizationToken.secret, .otherOrganization: other.organizationToken.secret,
            .project: tenant.projectToken.secret, .otherProject: tenant.otherProjectToken.secret,
            .projectPull: try await tenant.projectPullToken().secret,
            .repositoryPull: try await tenant.pullToken(of: ownName).secret,
        ]
    }

    /// `nil` for nobody.
    func secret(_ principal: Principal) -> String? { secrets[principal] }

    func credential(_ principal: Principal) -> Credential {
        secret(principal).map { .basic("x-token:\($0)") } ?? .none
    }
}
