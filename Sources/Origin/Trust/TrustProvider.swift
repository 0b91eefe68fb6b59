// SPDX-License-Identifier: Apache-2.0

/// A kind of CI system: which issuer it has, which claims a policy must pin, and how its forks show.
package enum TrustProvider: String, Sendable, CaseIterable {
    case github
    case gitlab
    case circleci
    case buildkite
    /// Any other OpenID Connect issuer. No rule of its own, so the policy has to say everything.
    case generic

    /// The issuer of the hosted service; `nil` where each organization has its own, or there is none.
    ///
    /// GitHub Enterprise Server and self-managed GitLab have issuers of their own.
    package var defaultIssuer: String? {
        switch self {
        case .github: "https://token.actions.githubusercontent.com"
        case .gitlab: "https://gitlab.com"
        case .buildkite: "https://agent.buildkite.com"
        case .circleci, .generic: nil
        }
    }

    /// Hosts whose issuers all their customers share, or that need the provider's rules on forks: a policy of another
    /// provider would get around them.
    static func owner(ofHost host: String) -> TrustProvider? {
        switch host {
        case "token.actions.githubusercontent.com": .github
        case "gitlab.com": .gitlab
        case "oidc.circleci.com": .circleci
        case "agent.buildkite.com": .buildkite
        default: nil
        }
    }
}
