// SPDX-License-Identifier: Apache-2.0

import JWTKit
import OCI

/// Claims of a registry token. `access` names repositories canonically (`ORG/NAME`), whichever host was called.
struct RegistryClaims: JWTPayload {
    struct Access: Codable, Sendable {
        let type: String
        let name: String
        let actions: [String]
    }

    let iss: String
    let aud: String
    let sub: String
    let jti: String
    let iat: Int64
    let nbf: Int64
    let exp: Int64
    /// Id of the token it was issued for: what revocation is checked against.
    let tid: Int64
    let access: [Access]

    /// `RegistryTokens` checks the claims itself, against its own clock.
    func verify(using algorithm: some JWTAlgorithm) async throws {}

    /// The scopes; entries that name nothing this registry has grant nothing.
    var scopes: [Scope] {
        access.compactMap { entry in
            guard entry.type == "repository",
                let slash = entry.name.utf8.firstIndex(of: UInt8(ascii: "/")),
                let organization = OrganizationSlug(entry.name[..<slash]),
                let name = RepositoryName(entry.name[entry.name.index(after: slash)...])
            else { return nil }
            return Scope(
                organization: organization, name: name, actions: Set(entry.actions.compactMap(Action.init(rawValue:))))
        }
    }
}

extension RegistryClaims {
    /// Whether the list of repositories was granted.
    var listsCatalog: Bool {
        access.contains { $0.type == "registry" && $0.name == "catalog" && $0.actions.contains("*") }
    }
}

extension RegistryClaims.Access {
    static let catalog = Self(type: "registry", name: "catalog", actions: ["*"])

    init(_ scope: Scope) {
        type = "repository"
        name = "\(scope.organization.text)/\(scope.name.text)"
        actions = Action.allCases.filter(scope.actions.contains).map(\.rawValue)
    }
}
