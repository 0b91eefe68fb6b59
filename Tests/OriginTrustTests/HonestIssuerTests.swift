// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import StackSupport
import Testing

/// Against an issuer that shares nothing with the registry: a process of its own, whose keys and signatures OpenSSL makes.
@Suite(.timeLimit(.minutes(2)), .serialized, .enabled(if: LoopbackIssuer.isAvailable))
struct HonestIssuerTests {
    /// Runs a test body with an issuer, and ends that in any case.
    private func withIssuer(_ body: (LoopbackIssuer, VerifierFixture) async throws -> Void) async throws {
        let issuer = try await LoopbackIssuer.start()
        do {
            try await body(issuer, VerifierFixture())
        } catch {
            try await issuer.stop()
            throw error
        }
        try await issuer.stop()
    }

    @Test("tokens of every algorithm are verified, and a policy matches them; keys are fetched once")
    func algorithms() async throws {
        try await withIssuer { issuer, fixture in
            let policy = try TrustPolicy(
                provider: .generic, issuer: issuer.url, audience: "https://registry.example",
                conditions: [ClaimCondition("sub", ["job"])], privateHosts: ["127.0.0.1"])
            let algorithms = [
                ("rsa", "RS256"), ("rsa", "RS384"), ("rsa", "RS512"), ("rsa", "PS256"), ("p256", "ES256"),
                ("p384", "ES384"), ("ed25519", "EdDSA"),
            ]
            for (keyID, algorithm) in algorithms {
                let text = try await issuer.token(keyID, algorithm, goodClaims(of: issuer.url).encode())
                #expect(IdentityToken.looksLike(text))
                let identity = try await fixture.verifier.verify(IdentityToken(text))
                #expect(policy.evaluate(identity) == .matched, "\(algorithm)")
            }
            #expect(try await issuer.ask("GET", "/test/fetches") == "1")
            // The same signature for other claims.
            let good = try await issuer.token("rsa", "RS256", goodClaims(of: issuer.url).encode()).split(separator: ".")
            let other = try await issuer.token(
                "rsa", "RS256", goodClaims(of: issuer.url, ["sub": .string("x")]).encode())
            let forged = "\(good[0]).\(other.split(separator: ".")[1]).\(good[2])"
            #expect(try await fixture.fault(forged)?.kind == .badSignature)
        }
    }

    @Test("an RSA key of 1024 bits does not count, although its issuer publishes it")
    func weakKey() async throws {
        try await withIssuer { issuer, fixture in
            let token = try await issuer.token("rsa-1024", "RS256", goodClaims(of: issuer.url).encode())
            #expect(try await fixture.fault(token)?.kind == .unknownKey)
        }
    }

    @Test(
        "after a rotation new keys are found and old ones end; an issuer that fails or is gone leaves its keys behind")
    func rotationAndEnd() async throws {
        try await withIssuer { issuer, fixture in
            let claims = goodClaims(
                of: issuer.url, ["exp": .number("\(TestClock.startUnixSeconds + 20 * 3600)")])
            let old = try await issuer.token("p256", "ES256", claims.encode())
            #expect(try await fixture.fault(old) == nil)
            _ = try await issuer.ask("POST", "/test/rotate")
            let new = try await issuer.token("p256-new", "ES256", claims.encode())
            #expect(try await fixture.fault(new)?.kind == .unknownKey)
            fixture.clock.advance(.seconds(31))
            #expect(try await fixture.fault(new) == nil)
            fixture.clock.advance(.seconds(31))
            #expect(try await fixture.fault(old)?.kind == .unknownKey)

            _ = try await issuer.ask("POST", "/test/fail?status=500")
            fixture.clock.advance(.seconds(2 * 3600))
            #expect(try await fixture.fault(new) == nil)
            try await issuer.stop()
            fixture.clock.advance(.seconds(10 * 3600))
            #expect(try await fixture.fault(new) == nil)
            #expect(try await fixture.fault(old)?.kind == .issuerUnavailable)
        }
    }
}
