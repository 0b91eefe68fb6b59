// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration {
    /// A system that takes identity tokens of issuers on the loopback.
    @Suite(
        "A system that trusts an issuer", .stack(edges: 1, environment: ["DEPOT_PRIVATE_ISSUERS": "127.0.0.1"]),
        .enabled(if: LoopbackIssuer.isAvailable))
    enum TrustedIssuer {}
}

/// A tenant whose project trusts the jobs of an issuer.
struct TrustingTenant: Sendable {
    static let audience = "https://depot.example/trusted-audience"
    static let subject = "project:trusted-subject:main"

    let issuer: LoopbackIssuer
    let tenant: Tenant
    let relationship: Int64
    /// Name of the project's repository, below the organization.
    let path: String

    init(_ system: System, _ issuer: LoopbackIssuer) async throws {
        self.issuer = issuer
        tenant = try await Tenant(system)
        path = "\(tenant.project)/app"
        let made = try await tenant.admin.done(
            "POST", "\(tenant.projectPath)/trust",
            [
                "name": "deploy", "provider": "generic", "issuer": .string(issuer.url),
                "audience": .string(Self.audience), "conditions": ["sub": [.string(Self.subject)]],
            ])
        relationship = try #require(made["id"]?.integerValue)
    }

    /// Runs a test body with an issuer and a tenant that trusts it, and ends the issuer in any case.
    static func with(_ system: System, _ body: (TrustingTenant) async throws -> Void) async throws {
        let issuer = try await LoopbackIssuer.start()
        do {
            try await body(TrustingTenant(system, issuer))
        } catch {
            try await issuer.stop()
            throw error
        }
        try await issuer.stop()
    }

    /// An identity token; good in all respects, unless a claim is changed.
    /// - Parameters:
    ///   - changes: Claims in place of the usual ones.
    ///   - signer: Another issuer, whose key signs.
    func identityToken(_ changes: [String: JSONValue] = [:], signer: LoopbackIssuer? = nil) async throws -> String {
        let now = Int64(Date().timeIntervalSince1970)
        let usual: [String: JSONValue] = [
            "iss": .string(issuer.url), "sub": .string(Self.subject), "aud": .string(Self.audience),
            "jti": .string(freshName("job")), "iat": .integer(now - 5), "nbf": .integer(now - 5),
            "exp": .integer(now + 300),
        ]
        let claims = JSONValue.object(
            usual.merging(changes) { $1 }.map { JSONMember(name: $0.key, value: $0.value) })
        return try await (signer ?? issuer).token("p256", "ES256", claims.encode())
    }

    /// RFC 8693 at the token endpoint.
    func exchange(_ identityToken: String) async throws -> Answer {
        let form =
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=\(identityToken)"
            + "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"
        return try await ask(
            tenant.system.origin,
            HTTPRequest(
                "POST", "/token", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(form.utf8)))
    }

    /// The project's repository, asked by Basic with this as password.
    func repository(password: String) -> Repository { tenant.repository(path, token: password) }
}
