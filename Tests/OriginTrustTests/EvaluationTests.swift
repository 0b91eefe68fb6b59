// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import Testing

/// How claims are held against conditions, and what a client learns of it.
@Suite struct EvaluationTests {
    private static let issuer = "https://issuer.example"

    private func identity(_ changes: KeyValuePairs<String, JSONValue?> = [:]) throws -> VerifiedIdentity {
        try #require(VerifiedIdentity(verified: goodClaims(of: Self.issuer, changes)))
    }

    private func policy(
        _ conditions: KeyValuePairs<String, [String]>, issuer: String = issuer,
        audience: String = "https://registry.example"
    ) throws -> TrustPolicy {
        try TrustPolicy(
            provider: .generic, issuer: issuer, audience: audience,
            conditions: conditions.map { try ClaimCondition($0.key, $0.value) })
    }

    private func mismatch(_ policy: TrustPolicy, _ identity: VerifiedIdentity) -> TrustPolicy.ClaimMismatch? {
        guard case .unmatched(let mismatch) = policy.evaluate(identity) else { return nil }
        return mismatch
    }

    @Test(
        "values match exactly, or by their start before a *",
        arguments: [
            ("main", .string("main"), true), ("main", .string("Main"), false), ("main", .string("main2"), false),
            ("main", .string("mai"), false), ("main", .string(""), false), ("refs/*", .string("refs/heads/x"), true),
            ("refs/*", .string("refs/"), true), ("refs/*", .string("refs"), false), ("*", .string("x"), true),
            ("*", .string(""), true), ("*", .null, false), ("*", nil, false), ("*", .object([]), false),
            ("*", .array([]), false), ("12", .number("12"), true), ("12", .number("12.0"), false),
            ("12", .string("12"), true), ("1*", .number("12"), true), ("true", .bool(true), true),
            ("true", .bool(false), false), ("false", .bool(false), true), ("true", .string("true"), true),
            ("null", .null, false), ("a", .array([.string("b"), .string("a")]), true),
            ("a", .array([.string("b")]), false), ("a", .array([.array([.string("a")])]), false),
            ("1", .array([.number("1")]), true), ("a", .object([JSONMember(name: "a", value: .string("a"))]), false),
            // Equal to Swift, but other bytes: the Kelvin sign, and a letter with its accent apart.
            ("K", .string("\u{212A}"), false), ("\u{E9}", .string("e\u{301}"), false),
            ("a*", .string("a\u{301}"), true),
        ] as [(String, JSONValue?, Bool)])
    func values(allowed: String, value: JSONValue?, isMatch: Bool) throws {
        let policy = try policy(["sub": ["job"], "claim": ["never", allowed]])
        #expect((policy.evaluate(try identity(["claim": value])) == .matched) == isMatch)
    }

    @Test(
        "A22: the audience is ours, alone or in a list",
        arguments: [
            (.string("https://registry.example"), true),
            (.array([.string("x"), .string("https://registry.example")]), true),
            (.string("https://registry.example/"), false), (.string("https://REGISTRY.example"), false),
            (.string("*"), false), (.string(""), false), (.array([]), false), (.array([.string("x")]), false),
            (.number("1"), false), (.object([]), false), (.null, false), (nil, false),
        ] as [(JSONValue?, Bool)])
    func audience(value: JSONValue?, isMatch: Bool) throws {
        let mismatch = self.mismatch(try policy(["sub": ["job"]]), try identity(["aud": value]))
        #expect((mismatch == nil) == isMatch)
        #expect(isMatch || mismatch?.claim == "aud" && mismatch?.expected == .audience)
    }

    @Test(
        "A23: the issuer is the policy's, byte for byte",
        arguments: ["https://issuer.example/x", "https://other.example"])
    func issuer(other: String) throws {
        let mismatch = self.mismatch(try policy(["sub": ["job"]], issuer: other), try identity())
        #expect(mismatch?.claim == "iss" && mismatch?.expected == .issuer)
    }

    @Test("issuer, audience and conditions are told in order")
    func order() throws {
        let conditions: KeyValuePairs = ["sub": ["job"], "a": ["1"], "b": ["2"]]
        let steps: [(KeyValuePairs<String, JSONValue?>, String?)] = [
            (["iss": .string("https://x.example"), "aud": nil, "a": nil], "iss"), (["aud": nil, "a": nil], "aud"),
            (["sub": nil, "b": .string("2")], "sub"), (["a": .string("3")], "a"), (["a": .string("1")], "b"),
            (["a": .string("1"), "b": .number("2")], nil),
        ]
        for (index, step) in steps.enumerated() {
            let mismatch = self.mismatch(try policy(conditions), try identity(step.0))
            #expect(mismatch?.claim == step.1)
            #expect(mismatch?.passedCount == (step.1 == nil ? nil : index))
        }
    }

    @Test("a client learns the claim and the kind of value; the audit log learns what was found")
    func messages() throws {
        let cases: [([String], ExpectedValue)] = [
            (["123456", "7"], .number), (["c9035eb6-6eb2-4c85-8a81-d9ee6a1fa8c2"], .uuid), (["secret-name"], .text),
            (["secret-name", "123456*"], .textWithPrefix),
        ]
        for (values, expected) in cases {
            let policy = try policy(["claim": values])
            let mismatch = try #require(self.mismatch(policy, identity(["claim": .string("found-here")])))
            #expect(mismatch.expected == expected)
            let fault = mismatch.fault
            #expect(fault.kind == .unmatched)
            #expect(fault.publicMessage == "claim claim does not match: expected \(expected.words)")
            #expect(values.allSatisfy { !fault.publicMessage.contains($0) && !fault.detail.contains($0) })
            #expect(!fault.publicMessage.contains("found-here"))
            #expect(fault.detail.contains("\"found-here\""))
        }
        let absent = try #require(self.mismatch(policy(["claim": ["x"]]), identity()))
        #expect(absent.fault.detail.contains("no such claim"))
        let long = JSONValue.string(String(repeating: "x", count: 10_000))
        #expect(
            try #require(mismatch(policy(["claim": ["x"]]), identity(["claim": long]))).fault.detail.utf8.count < 400)
    }

    @Test("of several policies the first that matches counts")
    func firstMatch() throws {
        let policies = try [
            policy(["sub": ["other"]]), policy(["sub": ["job"]]), policy(["sub": ["job", "x"]]),
        ]
        #expect(try TrustPolicy.firstMatch(of: policies, for: identity()) == 1)
    }

    @Test("if none matches, the one that got furthest says why")
    func furthest() throws {
        let policies = try [
            policy(["sub": ["job"]], issuer: "https://other.example"), policy(["sub": ["x"], "a": ["1"]]),
            policy(["sub": ["job"], "a": ["1"], "b": ["2"]]), policy(["sub": ["job"], "c": ["1"]]),
            policy(["sub": ["job"]], audience: "x"),
        ]
        let fault = #expect(throws: TrustFault.self) {
            try TrustPolicy.firstMatch(of: policies, for: identity())
        }
        #expect(fault?.publicMessage.hasPrefix("claim a ") == true)
        let none = #expect(throws: TrustFault.self) { try TrustPolicy.firstMatch(of: [], for: identity()) }
        #expect(none?.kind == .unmatched)
    }
}
