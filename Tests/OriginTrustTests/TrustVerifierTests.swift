// SPDX-License-Identifier: Apache-2.0

import LoopbackServer
import OCI
import OriginTrust
import StackSupport
import Telemetry
import Testing

/// Times, keys, and the one fetch that all callers share; rows A of the catalogue of bad input that need an issuer.
@Suite(.timeLimit(.minutes(1)))
struct TrustVerifierTests {
    private let key = TestKey.ed25519("one")
    private let now = TestClock.startUnixSeconds

    @Test("a good token gives its claims, its id and its end")
    func goodToken() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fixture = try VerifierFixture()
        let token = try IdentityToken(key.token(goodClaims(of: issuer.url, ["team": .string("blue")])))
        let identity = try await fixture.verifier.verify(token)
        #expect(identity.issuer == issuer.url)
        #expect(identity.subject == "job")
        #expect(identity.tokenID == "one")
        #expect(identity.expiresAtUnixSeconds == now + 300)
        #expect(identity.claims["team"] == .string("blue"))
    }

    @Test("A10, A11: a key id that the issuer lacks is refused", arguments: ["two", "../../keys", "one\n", "ONE"])
    func unknownKey(id: String) async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let token = try key.token(goodClaims(of: issuer.url), header: ["kid": .string(id)])
        #expect(try await VerifierFixture().fault(token)?.kind == .unknownKey)
    }

    @Test("A15: a token signed by a key of somebody else under the right id is refused")
    func foreignKey() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let token = try TestKey.ed25519("one").token(goodClaims(of: issuer.url))
        #expect(try await VerifierFixture().fault(token)?.kind == .badSignature)
    }

    @Test("A23: the keys of one issuer do not count for another")
    func otherIssuer() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        let other = try ScriptedIssuer(keys: TestKey.ed25519("one").jwk())
        defer {
            issuer.close()
            other.close()
        }
        #expect(try await VerifierFixture().fault(key.token(goodClaims(of: other.url)))?.kind == .badSignature)
        // The same place under another name is another issuer: its configuration says so.
        let renamed = issuer.url.replacing("127.0.0.1", with: "localhost")
        let fixture = try VerifierFixture(privateHosts: ["127.0.0.1", "localhost"])
        #expect(try await fixture.fault(key.token(goodClaims(of: renamed)))?.kind == .issuerUnavailable)
    }

    @Test(
        "A17-A21: times count with a minute's leeway, are whole seconds, and end within a day",
        arguments: [
            ("exp", 60, nil), ("exp", -59, nil), ("exp", -60, .outOfTime), ("exp", -3600, .outOfTime),
            ("exp", 86_400, nil), ("exp", 86_401, .outOfTime), ("nbf", 60, nil), ("nbf", 61, .outOfTime),
            ("iat", 60, nil), ("iat", 61, .outOfTime), ("iat", -86_400, nil),
        ] as [(String, Int64, TrustFault.Kind?)])
    func times(claim: String, offset: Int64, kind: TrustFault.Kind?) async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let token = try key.token(goodClaims(of: issuer.url, [claim: .number("\(now + offset)")]))
        #expect(try await VerifierFixture().fault(token)?.kind == kind)
    }

    @Test(
        "A18-A21: a time that is missing, no whole number or out of range is refused, and the issuer is not asked",
        arguments: [
            ("exp", nil), ("exp", .null), ("exp", .string("1800000300")), ("exp", .number("1e300")),
            ("exp", .number("1800000300.5")), ("exp", .number("-1")), ("exp", .number("9223372036854775808")),
            ("exp", .number("9223372036854775807")), ("exp", .bool(true)), ("exp", .array([.number("1800000300")])),
            ("nbf", .string("0")), ("nbf", .number("1e300")), ("iat", .string("0")), ("iat", .null),
        ] as [(String, JSONValue?)])
    func badTimes(claim: String, value: JSONValue?) async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fault = try await VerifierFixture().fault(key.token(goodClaims(of: issuer.url, [claim: value])))
        #expect(fault?.kind == .malformed || fault?.kind == .outOfTime)
        #expect(issuer.askedCount(ScriptedIssuer.configurationPath) == 0)
    }

    @Test("A30: a signature that is cut or changed is refused")
    func cutSignature() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let token = try key.token(goodClaims(of: issuer.url))
        let fixture = try VerifierFixture()
        #expect(try await fixture.fault(token) == nil)
        // 63 bytes instead of 64.
        #expect(try await fixture.fault(String(token.dropLast(2)))?.kind == .badSignature)
    }

    @Test("callers who come together share one fetch")
    func sharedFetch() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let (asked, release) = (Gate(), Gate())
        let keys = ScriptedIssuer.keySet([try key.jwk()])
        issuer.set(ScriptedIssuer.keysPath, .held(asked: asked, release: release, keys))
        let fixture = try VerifierFixture()
        let token = try key.token(goodClaims(of: issuer.url))
        try await withThrowingTaskGroup(of: TrustFault?.self) { group in
            for _ in 0..<20 { group.addTask { try await fixture.fault(token) } }
            await asked.passed()
            // Each caller reads the clock when it asks the cache.
            try await waitUntil("all callers have asked") { fixture.clock.readCount >= 20 }
            release.open()
            for try await fault in group { #expect(fault == nil) }
        }
        #expect(issuer.askedCount() == 1)
        #expect(fixture.metrics.exposition().contains(#"trust_key_fetches_total{result="fetched"} 1"#))
    }

    @Test("a caller who hangs up does not end the fetch that others wait for")
    func cancelledCaller() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let (asked, release) = (Gate(), Gate())
        let keys = ScriptedIssuer.keySet([try key.jwk()])
        issuer.set(ScriptedIssuer.keysPath, .held(asked: asked, release: release, keys))
        let fixture = try VerifierFixture()
        let token = try key.token(goodClaims(of: issuer.url))
        let caller = Task { try await fixture.fault(token) }
        await asked.passed()
        caller.cancel()
        release.open()
        #expect(try await caller.value == nil)
        #expect(try await fixture.fault(token) == nil)
        #expect(issuer.askedCount() == 1)
    }

    @Test("a new key is found by asking again, at most every 30 seconds")
    func rotation() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fixture = try VerifierFixture()
        #expect(try await fixture.fault(key.token(goodClaims(of: issuer.url))) == nil)
        let newKey = TestKey.ed25519("two")
        issuer.setKeys([try key.jwk(), try newKey.jwk()])
        let token = try newKey.token(goodClaims(of: issuer.url))
        for _ in 0..<5 { #expect(try await fixture.fault(token)?.kind == .unknownKey) }
        #expect(issuer.askedCount() == 1)
        fixture.clock.advance(.seconds(30))
        #expect(try await fixture.fault(token) == nil)
        #expect(issuer.askedCount() == 2)
    }

    @Test("while an issuer is away its old keys count for a day, and it is asked every 5 seconds at most")
    func away() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fixture = try VerifierFixture()
        let claims = { goodClaims(of: issuer.url, ["exp": .number("\(now + $0)")]) }
        #expect(try await fixture.fault(key.token(claims(60))) == nil)
        issuer.goAway()
        fixture.clock.advance(.seconds(2 * 3600))
        let path = ScriptedIssuer.configurationPath
        let token = try key.token(claims(3 * 3600))
        for _ in 0..<5 { #expect(try await fixture.fault(token) == nil) }
        #expect(issuer.askedCount(path) == 2)
        fixture.clock.advance(.seconds(5))
        for _ in 0..<5 { #expect(try await fixture.fault(token) == nil) }
        #expect(issuer.askedCount(path) == 3)
        fixture.clock.advance(.seconds(22 * 3600))
        let late = try await fixture.fault(key.token(claims(25 * 3600)))
        #expect(late?.kind == .issuerUnavailable)
        #expect(late?.publicMessage.contains("try again") == true)
        #expect(late?.detail.contains("503") == true)
    }

    @Test("an issuer that was away when first asked is asked again after 5 seconds")
    func comesBack() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fixture = try VerifierFixture()
        let token = try key.token(goodClaims(of: issuer.url))
        issuer.goAway()
        #expect(try await fixture.fault(token)?.kind == .issuerUnavailable)
        issuer.setConfiguration()
        issuer.setKeys([try key.jwk()])
        #expect(try await fixture.fault(token)?.kind == .issuerUnavailable)
        fixture.clock.advance(.seconds(5))
        #expect(try await fixture.fault(token) == nil)
    }
}
