// SPDX-License-Identifier: Apache-2.0

/// A trust relationship: which identity tokens of a CI system count, told by issuer, audience, and claims.
///
/// A pure value. It can only be made if it is safe: an issuer that many customers share is pinned to one organization and
/// project by identifiers that its customers cannot choose, so that nobody else's job matches.
package struct TrustPolicy: Sendable, Equatable {
    package static let conditionCountMax = 32

    package let provider: TrustProvider
    /// The `iss` claim, byte for byte: a URL without a slash at its end.
    package let issuer: String
    /// What the `aud` claim is or, if that is a list, contains.
    package let audience: String
    package let conditions: [ClaimCondition]
    /// Whether jobs that run the code of a fork's pull request match.
    package let allowsForks: Bool

    /// - Parameters:
    ///   - issuer: `nil` for the provider's hosted service.
    ///   - privateHosts: Hosts inside this network that the operator named, in lower case, without a port, an IPv6 address
    ///     in brackets: their issuers may use `http`.
    /// - Throws: The first reason why the policy is not safe.
    package init(
        provider: TrustProvider,
        issuer: String? = nil,
        audience: String,
        conditions: [ClaimCondition],
        allowsForks: Bool = false,
        privateHosts: Set<String> = []
    ) throws(TrustPolicyError) {
        guard let issuer = issuer ?? provider.defaultIssuer else {
            throw TrustPolicyError("provider \(provider.rawValue) has no issuer of its own: name one")
        }
        self.provider = provider
        self.issuer = issuer
        self.audience = audience
        self.conditions = conditions
        self.allowsForks = allowsForks
        try checkIssuer(privateHosts)
        try checkTexts()
        try checkProvider()
    }

    func condition(on claim: String) -> ClaimCondition? { conditions.first { $0.claim == claim } }
}

/// Why a policy is refused, in one line for whoever wrote it.
package struct TrustPolicyError: Error, Sendable, Equatable, CustomStringConvertible {
    package let message: String

    init(_ message: String) { self.message = message }

    package var description: String { message }
}
