// SPDX-License-Identifier: Apache-2.0

package import OCI

/// The registry as one request called it: which organization the host names, and how names are written there.
package struct RegistryHost: Sendable, Hashable {
    /// The organization of a host `ORG.<domain>`; `nil` where the first path segment names it.
    package let organization: OrganizationSlug?
    /// The host called, in lower case, with its port. Audience of registry tokens.
    package let service: String
    /// Absolute URL of the token endpoint.
    package let realm: String

    package var isPathForm: Bool { organization == nil }

    package init(organization: OrganizationSlug?, service: String, realm: String) {
        self.organization = organization
        self.service = service
        self.realm = realm
    }

    /// The repository's name as clients of this host write it.
    package func name(of repository: RepositoryName, in organization: OrganizationSlug) -> String {
        isPathForm ? "\(organization.text)/\(repository.text)" : repository.text
    }

    /// Reads a name as clients of this host write it; `nil` if it names no possible repository here.
    package func split(_ name: some StringProtocol) -> (organization: OrganizationSlug, repository: RepositoryName)? {
        if let organization {
            return RepositoryName(name).map { (organization, $0) }
        }
        guard let slash = name.utf8.firstIndex(of: UInt8(ascii: "/")),
            let organization = OrganizationSlug(name[..<slash]),
            let repository = RepositoryName(name[name.index(after: slash)...])
        else { return nil }
        return (organization, repository)
    }

    /// `Bearer realm="…",service="…"[,scope="…"][,error="…"]`: RFC 6750 §3 with docker's token parameters.
    /// - Parameter scope: As `Scope.text(on:)` writes it for this host.
    package func challenge(scope: String? = nil, error: ChallengeError? = nil) -> String {
        var text = "Bearer realm=\"\(realm)\",service=\"\(service)\""
        if let scope { text += ",scope=\"\(scope)\"" }
        if let error { text += ",error=\"\(error.rawValue)\"" }
        return text
    }
}

/// RFC 6750 §3.1.
package enum ChallengeError: String, Sendable {
    case invalidToken = "invalid_token"
    case insufficientScope = "insufficient_scope"
}
