// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import Testing

/// Which policies may be saved, and which may not.
@Suite struct TrustPolicyTests {
    private static let uuid = "c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2"
    private static let circle = "https://oidc.circleci.com/org/\(uuid)"

    private func policy(
        _ provider: TrustProvider, _ conditions: KeyValuePairs<String, [String]>, issuer: String? = nil,
        audience: String = "https://registry.example", privateHosts: Set<String> = []
    ) throws -> TrustPolicy {
        try TrustPolicy(
            provider: provider, issuer: issuer, audience: audience,
            conditions: conditions.map { try ClaimCondition($0.key, $0.value) }, privateHosts: privateHosts)
    }

    private func refusal(_ make: () throws -> TrustPolicy) -> String? {
        do {
            _ = try make()
            return nil
        } catch {
            return (error as? TrustPolicyError)?.message
        }
    }

    @Test("the least that each provider needs is enough")
    func least() throws {
        _ = try policy(.github, ["repository_owner_id": ["1"], "repository_id": ["2", "3"]])
        _ = try policy(.gitlab, ["namespace_id": ["1"], "project_id": ["2"]])
        _ = try policy(.circleci, ["oidc.circleci.com/project-id": [Self.uuid]], issuer: Self.circle)
        _ = try policy(.buildkite, ["organization_slug": ["acme"], "pipeline_slug": ["app", "app-*"]])
        _ = try policy(.buildkite, ["organization_id": [Self.uuid], "pipeline_id": [Self.uuid]])
        _ = try policy(.generic, ["sub": ["mint:\(Self.uuid):*"]], issuer: "https://issuer.example/tenant")
    }

    @Test("hosted services have their issuer; others have to be named")
    func issuers() throws {
        let least: [(TrustProvider, KeyValuePairs<String, [String]>)] = [
            (.github, ["repository_owner_id": ["1"], "repository_id": ["2"]]),
            (.gitlab, ["namespace_id": ["1"], "project_id": ["2"]]),
            (.buildkite, ["organization_slug": ["a"], "pipeline_slug": ["b"]]),
        ]
        for (provider, conditions) in least {
            #expect(try policy(provider, conditions).issuer == provider.defaultIssuer)
        }
        #expect(refusal { try policy(.generic, ["sub": ["x"]]) }?.contains("name one") == true)
        #expect(refusal { try policy(.circleci, ["oidc.circleci.com/project-id": [Self.uuid]]) } != nil)
        // Servers of one's own have issuers of their own.
        _ = try policy(.gitlab, ["namespace_id": ["1"], "project_id": ["2"]], issuer: "https://git.example:8443")
        _ = try policy(
            .github, ["repository_owner_id": ["1"], "repository_id": ["2"]],
            issuer: "https://github.example/_services/token")
    }

    @Test(
        "GitHub needs the numbers of owner and repository, and GitLab those of namespace and project",
        arguments: [
            ["repository_owner_id": ["1"]], ["repository_id": ["2"]], ["repository": ["acme/app"]],
            ["repository_owner_id": ["acme"], "repository_id": ["2"]],
            ["repository_owner_id": ["1"], "repository_id": ["*"]],
            ["repository_owner_id": ["1"], "repository_id": ["2*"]],
            ["repository_owner_id": ["1", "2*"], "repository_id": ["2"]],
            ["repository_owner_id": ["1"], "repository_id": ["-2"]],
            ["repository_owner_id": ["1"], "repository_id": ["٢"]],
            ["repository_owner_id": ["1"], "repository_id": ["2 "]],
        ] as [[String: [String]]])
    func numbers(conditions: [String: [String]]) throws {
        let github = try conditions.map { try ClaimCondition($0.key, $0.value) }
        #expect(refusal { try TrustPolicy(provider: .github, audience: "a", conditions: github) } != nil)
        let names = ["repository_owner_id": "namespace_id", "repository_id": "project_id"]
        let gitlab = try conditions.map { try ClaimCondition(names[$0.key] ?? "ref", $0.value) }
        #expect(refusal { try TrustPolicy(provider: .gitlab, audience: "a", conditions: gitlab) } != nil)
    }

    @Test(
        "CircleCI needs the issuer of one organization",
        arguments: [
            "https://oidc.circleci.com", "https://oidc.circleci.com/org", "https://oidc.circleci.com/org/acme",
            "https://oidc.circleci.com/org/c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2/x", "https://evil.example/org/\(uuid)",
            "https://oidc.circleci.com/org/C9035EB6-6EB2-4C85-8A81-D9EE6A1FA8C2",
        ])
    func circleIssuer(issuer: String) {
        #expect(
            refusal { try policy(.circleci, ["oidc.circleci.com/project-id": [Self.uuid]], issuer: issuer) } != nil)
    }

    @Test("CircleCI needs the UUIDs of its projects", arguments: ["*", "app", "c9035eb6-*", ""])
    func circleProject(value: String) {
        #expect(
            refusal { try policy(.circleci, ["oidc.circleci.com/project-id": [value]], issuer: Self.circle) } != nil)
    }

    @Test(
        "Buildkite, whose issuer all share, needs organization and pipeline",
        arguments: [
            ["pipeline_slug": ["app"]], ["organization_slug": ["acme"]], ["build_branch": ["main"]],
            ["organization_slug": ["acme*"], "pipeline_slug": ["app"]],
            ["organization_slug": ["*"], "pipeline_slug": ["app"]],
            ["organization_id": ["*"], "pipeline_id": ["app"]],
            ["organization_slug": ["acme"], "pipeline_slug": ["*"]],
            ["organization_slug": ["acme"], "pipeline_slug": ["app", "*"]],
        ] as [[String: [String]]])
    func buildkite(conditions: [String: [String]]) throws {
        let all = try conditions.map { try ClaimCondition($0.key, $0.value) }
        #expect(refusal { try TrustPolicy(provider: .buildkite, audience: "a", conditions: all) } != nil)
    }

    @Test("Buildkite has one issuer")
    func buildkiteIssuer() {
        let text = refusal {
            try policy(
                .buildkite, ["organization_slug": ["a"], "pipeline_slug": ["b"]], issuer: "https://agent.example")
        }
        #expect(text?.contains("https://agent.buildkite.com") == true)
    }

    @Test("a generic policy restricts something")
    func generic() throws {
        #expect(refusal { try policy(.generic, ["sub": ["*"]], issuer: "https://a.example") } != nil)
        #expect(refusal { try policy(.generic, ["sub": ["x", "*"]], issuer: "https://a.example") } != nil)
        _ = try policy(.generic, ["sub": ["*"], "team": ["x*"]], issuer: "https://a.example")
    }

    @Test(
        "an issuer that needs the rules of its provider takes no policy of another one",
        arguments: [
            "https://token.actions.githubusercontent.com", "https://gitlab.com", circle, "https://agent.buildkite.com",
            "https://gitlab.com:443", "https://token.actions.githubusercontent.com/acme",
        ])
    func sharedIssuers(issuer: String) {
        #expect(refusal { try policy(.generic, ["sub": ["x"]], issuer: issuer) }?.contains("belongs to") == true)
    }

    @Test(
        "issuers are https URLs without a slash at the end",
        arguments: [
            "", "issuer.example", "https://", "https://a.example/", "https://a.example/x/", "HTTPS://a.example",
            "https://A.example", "https://a.example?x", "https://a.example#x", "https://u@a.example",
            "https://a.example/\u{0}", "https://a..example", "https://a.example/./x", "https://[::1",
            "https://" + String(repeating: "a", count: 512),
        ])
    func badIssuers(issuer: String) {
        #expect(refusal { try policy(.generic, ["sub": ["x"]], issuer: issuer) }?.contains("issuer") == true)
    }

    @Test("http is for hosts that the operator named as private")
    func plainHTTP() throws {
        let make = { (hosts: Set<String>) in
            try policy(.generic, ["sub": ["x"]], issuer: "http://ci.internal:8080/oidc", privateHosts: hosts)
        }
        #expect(refusal { try make([]) }?.contains("https") == true)
        #expect(refusal { try make(["internal", "x.ci.internal", "ci.internal:8080"]) } != nil)
        #expect(try make(["ci.internal"]).issuer == "http://ci.internal:8080/oidc")
    }

    @Test("without conditions, an audience, or within bounds there is no policy")
    func bounds() throws {
        let issuer = "https://a.example"
        #expect(refusal { try policy(.generic, [:], issuer: issuer) }?.contains("no conditions") == true)
        #expect(refusal { try policy(.generic, ["sub": ["x"]], issuer: issuer, audience: "") } != nil)
        #expect(refusal { try policy(.generic, ["sub": ["x"]], issuer: issuer, audience: "a\nb") } != nil)
        let long = String(repeating: "a", count: 513)
        #expect(refusal { try policy(.generic, ["sub": ["x"]], issuer: issuer, audience: long) } != nil)
        let conditions = try (0..<33).map { try ClaimCondition("claim\($0)", ["x"]) }
        _ = try TrustPolicy(
            provider: .generic, issuer: issuer, audience: "a", conditions: Array(conditions.dropLast()))
        #expect(
            refusal { try TrustPolicy(provider: .generic, issuer: issuer, audience: "a", conditions: conditions) }
                != nil)
    }

    @Test("what is checked for every token takes no condition", arguments: ["iss", "aud", "exp", "nbf", "iat", "jti"])
    func ownClaims(claim: String) {
        #expect(refusal { try policy(.generic, [claim: ["x"]], issuer: "https://a.example") }?.contains(claim) == true)
    }

    @Test("a claim has one condition")
    func twoConditions() {
        let text = refusal { try policy(.generic, ["sub": ["x"], "sub": ["y"]], issuer: "https://a.example") }
        #expect(text?.contains("two conditions") == true)
    }
}

/// What a condition is, and how it is kept.
@Suite struct ClaimConditionTests {
    @Test("values are bounded, and * stands at the end")
    func values() throws {
        for values in [
            [], [""], ["a*b"], ["**"], ["*a"], ["a\u{0}"], ["a\n"], [String(repeating: "a", count: 513)],
            Array(repeating: "x", count: 33),
        ] {
            #expect(throws: TrustPolicyError.self) { try ClaimCondition("sub", values) }
        }
        let condition = try ClaimCondition("sub", ["a", "b*", "*", String(repeating: "a", count: 512)])
        #expect(condition.values.prefix(3) == [.exact("a"), .prefix("b"), .prefix("")])
        // One character to Swift, but the asterisk is a byte of its own.
        #expect(try ClaimCondition("sub", ["a\u{600}*"]).values == [.prefix("a\u{600}")])
    }

    @Test(
        "a claim's name is visible ASCII", arguments: ["", " ", "a b", "é", "a\n", String(repeating: "a", count: 513)])
    func names(name: String) {
        #expect(throws: TrustPolicyError.self) { try ClaimCondition(name, ["x"]) }
    }

    @Test("conditions come back from a column as they went, in order")
    func roundTrip() throws {
        let conditions = try [
            ClaimCondition("repository_id", ["123", "456"]), ClaimCondition("oidc.circleci.com/project-id", ["x*"]),
            ClaimCondition("ref", ["refs/heads/\"quoted\" \\ é", "*"]),
        ]
        let text = String(decoding: ClaimCondition.encode(conditions).encode(), as: UTF8.self)
        #expect(text.hasPrefix(#"{"repository_id":["123","456"],"#))
        #expect(try ClaimCondition.decode(text: text) == conditions)
    }

    @Test(
        "what is no set of conditions is refused",
        arguments: [
            "", "[]", "{", #"{"a":"x"}"#, #"{"a":[]}"#, #"{"a":[1]}"#, #"{"a":["x",null]}"#, #"{"a":["x"],"a":["y"]}"#,
            #"{"a":["x"],"A":["y"]}"#, #"{"a":["x"]}{}"#, #"{"a":["*x"]}"#, #"{"":["x"]}"#,
        ])
    func decoding(text: String) {
        #expect(throws: TrustPolicyError.self) { try ClaimCondition.decode(text: text) }
    }
}
