// SPDX-License-Identifier: Apache-2.0

/// What a policy must say before it may be saved. Names of claims are those of the providers' documentation:
/// - GitHub: "OpenID Connect reference", docs.github.com/actions/reference/security/oidc
/// - GitLab: "OpenID Connect (OIDC) Authentication Using ID Tokens", docs.gitlab.com/ci/secrets/id_token_authentication
/// - CircleCI: "Using OpenID Connect tokens in jobs", circleci.com/docs/openid-connect-tokens
/// - Buildkite: "buildkite-agent oidc", buildkite.com/docs/agent/v3/cli-oidc
extension TrustPolicy {
    /// Judged by the verifier for each token; a condition on one of them would look as if it added something.
    private static let ownClaims: Set = ["iss", "aud", "exp", "nbf", "iat", "jti"]

    /// Claims that say whose job it is. A prefix of an organization's name or number is another organization's.
    private static let organizationClaims: Set = [
        "repository_owner", "repository_owner_id", "enterprise", "enterprise_id",
        "namespace_id", "namespace_path", "job_namespace_id", "job_namespace_path",
        "oidc.circleci.com/org-id", "organization_slug", "organization_id",
    ]

    func checkIssuer(_ privateHosts: Set<String>) throws(TrustPolicyError) {
        guard let url = TrustURL(issuer: issuer) else {
            throw TrustPolicyError("the issuer is not a plain URL in lower case without a slash at its end")
        }
        guard !url.isPlainHTTP || privateHosts.contains(url.host) else {
            throw TrustPolicyError("the issuer does not use https, and its host is not among the private hosts")
        }
        if let owner = TrustProvider.owner(ofHost: url.host), owner != provider {
            throw TrustPolicyError("issuer \(issuer) belongs to provider \(owner.rawValue), whose rules it needs")
        }
    }

    func checkTexts() throws(TrustPolicyError) {
        guard !audience.isEmpty else { throw TrustPolicyError("the audience is empty") }
        guard audience.utf8.count <= ClaimCondition.textBytesMax,
            audience.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { throw TrustPolicyError("the audience is too long or has a control character") }
        guard !conditions.isEmpty else { throw TrustPolicyError("there are no conditions: every job would match") }
        guard conditions.count <= Self.conditionCountMax else {
            throw TrustPolicyError("there are more than \(Self.conditionCountMax) conditions")
        }
        var claims: Set<String> = []
        for condition in conditions {
            guard !Self.ownClaims.contains(condition.claim) else {
                throw TrustPolicyError("claim \(condition.claim) is checked for every token and takes no condition")
            }
            guard claims.insert(condition.claim).inserted else {
                throw TrustPolicyError("claim \(condition.claim) has two conditions: give one with all values")
            }
            guard condition.isExact || !Self.organizationClaims.contains(condition.claim) else {
                throw TrustPolicyError("claim \(condition.claim) says whose job it is and takes no *")
            }
        }
    }

    func checkProvider() throws(TrustPolicyError) {
        switch provider {
        case .github:
            // Names can be taken over after a rename or a deletion; numbers are never used again.
            try require("repository_owner_id", .number)
            try require("repository_id", .number)
        case .gitlab:
            try require("namespace_id", .number)
            try require("project_id", .number)
        case .circleci:
            try checkCircleIssuer()
            try require("oidc.circleci.com/project-id", .uuid)
        case .buildkite:
            guard issuer == provider.defaultIssuer else {
                throw TrustPolicyError("the issuer of Buildkite is \(provider.defaultIssuer ?? "")")
            }
            try requireOne(of: ["organization_id", "organization_slug"])
            try requireOne(of: ["pipeline_id", "pipeline_slug"])
        case .generic:
            guard conditions.contains(where: isRestricting) else {
                throw TrustPolicyError("give sub, or another claim, at least one value that is not a bare *")
            }
        }
    }

    private func require(_ claim: String, _ value: ExpectedValue) throws(TrustPolicyError) {
        guard let condition = condition(on: claim) else {
            throw TrustPolicyError("provider \(provider.rawValue) needs a condition on claim \(claim)")
        }
        guard condition.isExact, condition.values.allSatisfy({ value.describes($0.text) }) else {
            throw TrustPolicyError("claim \(claim): each value is \(value.words), without *")
        }
    }

    private func requireOne(of claims: [String]) throws(TrustPolicyError) {
        guard claims.contains(where: { condition(on: $0).map(isRestricting) ?? false }) else {
            throw TrustPolicyError(
                "provider \(provider.rawValue) needs a condition on claim \(claims.joined(separator: " or ")), not a bare *"
            )
        }
    }

    private func isRestricting(_ condition: ClaimCondition) -> Bool {
        !condition.values.contains(where: \.isBareWildcard)
    }

    private func checkCircleIssuer() throws(TrustPolicyError) {
        let start = "https://oidc.circleci.com/org/"
        guard issuer.hasPrefix(start), ExpectedValue.uuid.describes(String(issuer.dropFirst(start.count))) else {
            throw TrustPolicyError("the issuer of CircleCI is \(start) and the UUID of the organization")
        }
    }
}
