// SPDX-License-Identifier: Apache-2.0

import Hashing
import OriginAuth
import OriginMetadata
import Testing

@Suite("Registry tokens")
struct RegistryTokenTests {
    static let now: Int64 = 1_800_000_000

    static func claims(
        iss: String = "\"depot-registry\"",
        aud: String = "\"localhost:5000\"",
        nbf: String = "1800000000",
        exp: String? = "1800000900",
        tid: String = "11",
        access: String = "[{\"type\":\"repository\",\"name\":\"acme/team/app\",\"actions\":[\"pull\"]}]"
    ) -> String {
        var members = [
            "\"iss\":\(iss)", "\"aud\":\(aud)", "\"sub\":\"token:11\"", "\"jti\":\"j\"", "\"iat\":1800000000",
        ]
        members += ["\"nbf\":\(nbf)", "\"tid\":\(tid)", "\"access\":\(access)"]
        if let exp { members.append("\"exp\":\(exp)") }
        return "{" + members.joined(separator: ",") + "}"
    }

    static func header(_ kid: String, _ more: String = "") -> String {
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"\(kid)\"\(more)}"
    }

    @Test("a token of our own, and one forged exactly like it with our key, are admitted")
    func control() async throws {
        let fixture = try await AuthFixture()
        #expect(await fixture.outcome(try await fixture.bearer([.pull]), .pull) == .admitted(1))
        let twin = try AuthFixture.forge(
            header: Self.header(fixture.key.id), claims: Self.claims(), secret: fixture.key.secret)
        #expect(await fixture.outcome(["Bearer \(twin)"], .pull) == .admitted(1))
    }

    @Test(
        "header fields that bring or change a key are refused, though the signature is right",
        arguments: [
            "{\"alg\":\"none\",\"kid\":\"KID\"}", "{\"alg\":\"None\",\"kid\":\"KID\"}", "{\"kid\":\"KID\"}",
            "{\"alg\":\"HS256\",\"kid\":\"KID\"}", "{\"alg\":\"ES256\",\"kid\":\"KID\"}", "{\"alg\":\"EdDSA\"}",
            "{\"alg\":\"EdDSA\",\"kid\":\"unknown\"}", "{\"alg\":\"EdDSA\",\"kid\":\"../../x\"}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"jwk\":{}}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"jku\":\"https://x\"}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"x5u\":\"https://x\"}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"x5c\":[\"\"]}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"crit\":[\"exp\"]}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"enc\":\"A256GCM\"}",
            "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\",\"kid\":\"KID\"}", "{\"alg\":\"EdDSA\",\"kid\":1}",
            "{\"alg\":\"EdDSA\",\"kid\":\"KID\",\"typ\":\"at+jwt\"}", "[]", "",
        ])
    func headers(template: String) async throws {
        let fixture = try await AuthFixture()
        let header = template.replacing("KID", with: fixture.key.id)
        let token = try AuthFixture.forge(header: header, claims: Self.claims(), secret: fixture.key.secret)
        let outcome = await fixture.outcome(["Bearer \(token)"], .pull)
        #expect(outcome.status == 401)
        #expect(outcome.challenge?.hasSuffix("error=\"invalid_token\"") == true)
    }

    @Test(
        "claims that are missing, of another type, out of time, or for somebody else are refused",
        arguments: [
            claims(iss: "\"docker\""), claims(iss: "[\"depot-registry\"]"), claims(aud: "\"other:5000\""),
            claims(aud: "[\"localhost:5000\"]"), claims(exp: nil), claims(exp: "1799999939"),
            claims(exp: "\"1800000900\""),
            claims(exp: "1e300"), claims(exp: "null"), claims(exp: "99999999999999999999"), claims(nbf: "1800000061"),
            claims(access: "{}"), claims(access: "\"*\""), claims(tid: "\"11\""), claims(tid: "999"),
            "{\"exp\":1800000900," + claims().dropFirst(), "not json", "null",
        ])
    func claimFaults(claims: String) async throws {
        let fixture = try await AuthFixture()
        let token = try AuthFixture.forge(
            header: Self.header(fixture.key.id), claims: claims, secret: fixture.key.secret)
        #expect(await fixture.outcome(["Bearer \(token)"], .pull).status == 401)
    }

    @Test("the leeway is sixty seconds on both sides")
    func leeway() async throws {
        let fixture = try await AuthFixture()
        for claims in [
            Self.claims(exp: "1799999941"), Self.claims(nbf: "1800000060"), Self.claims(exp: "9223372036854775807"),
        ] {
            let token = try AuthFixture.forge(
                header: Self.header(fixture.key.id), claims: claims, secret: fixture.key.secret)
            #expect(await fixture.outcome(["Bearer \(token)"], .pull) == .admitted(1))
        }
    }

    @Test("texts that are no token of ours are refused")
    func texts() async throws {
        let fixture = try await AuthFixture()
        let good = String(try await fixture.bearer([.pull])[0].dropFirst("Bearer ".count))
        let parts = good.split(separator: ".").map(String.init)
        let stranger = RegistryTokens.Key.generate()
        let texts = [
            parts[0] + "." + parts[1], good + ".x", parts[0] + "." + parts[1] + ".", "." + parts[1] + "." + parts[2],
            good + "=", parts[0] + "." + parts[1] + "." + String(parts[2].dropLast()), good.replacing("a", with: "b"),
            try AuthFixture.forge(
                header: Self.header(fixture.key.id), claims: Self.claims(), secret: stranger.secret),
            String(repeating: "a", count: 1 << 20), "a.b.c", "..", "é.é.é",
        ]
        for text in texts {
            #expect(await fixture.outcome(["Bearer \(text)"], .pull).status == 401)
        }
    }

    @Test("the last character of a signature has unused bits; only their canonical form counts")
    func canonical() async throws {
        let fixture = try await AuthFixture()
        let good = try await fixture.bearer([.pull])[0]
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = try #require(good.last.flatMap { alphabet.firstIndex(of: $0) })
        #expect(await fixture.outcome([good.dropLast() + String(alphabet[last ^ 1])], .pull).status == 401)
    }

    @Test("scopes count for exactly the repository they name")
    func neighbours() async throws {
        let fixture = try await AuthFixture()
        let bearer = try await fixture.bearer([.pull])
        for name in ["team", "team/ap", "team/app2", "team/app/x", "app"] {
            #expect(await fixture.outcome(bearer, .pull, repository: repositoryName(name)).status == 401)
        }
    }

    @Test("an old key verifies, a forgotten one does not, and only the current one signs")
    func rotation() async throws {
        let old = RegistryTokens.Key.generate()
        let new = RegistryTokens.Key.generate()
        let identity = Identity(TokenRecord(id: 1, kind: .organization, holder: .organization(1), name: "ci"))
        let before = try await RegistryTokens(current: old)
        let during = try await RegistryTokens(current: new, others: [old])
        let after = try await RegistryTokens(current: new)
        let oldToken = try await before.issue(to: identity, scopes: [], service: "s", atUnixSeconds: Self.now).token
        let newToken = try await during.issue(to: identity, scopes: [], service: "s", atUnixSeconds: Self.now).token
        #expect(await during.verify(oldToken)?.tokenID == 1)
        #expect(await after.verify(oldToken) == nil)
        #expect(await after.verify(newToken)?.tokenID == 1)
    }

    @Test("a key that is empty or short is refused at start")
    func weakKeys() async {
        for count in [0, 16, 31, 33] {
            await #expect(throws: (any Error).self) {
                try await RegistryTokens(current: .init(id: "k", secret: SecureRandom.bytes(count)))
            }
        }
    }
}
