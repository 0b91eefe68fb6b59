// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPFetch
import OCI
import OriginTrust
import StackSupport
import Testing

/// Against an issuer that shares nothing with the registry: a process of its own, whose keys and signatures OpenSSL makes.
@Suite(.timeLimit(.minutes(2)), .serialized, .enabled(if: isInstalled("python3") && isInstalled("openssl")))
struct HonestIssuerTests {
    private struct SetupFailure: Error {}

    /// The process, and what it is told.
    private struct Issuer {
        let process: RunningCommand
        let url: String
        private let fetcher: Fetcher

        static func start() async throws -> Issuer {
            guard let script = Bundle.module.path(forResource: "issuer", ofType: "py") else { throw SetupFailure() }
            let process = try Command(["python3", script], limit: .seconds(100)).start()
            try await waitUntil("the issuer listens") {
                guard process.isRunning else { throw SetupFailure() }
                return try process.outputSoFar().last == UInt8(ascii: "\n")
            }
            let line = String(decoding: try process.outputSoFar(), as: UTF8.self)
            return Issuer(
                process: process, url: line.trimmingCharacters(in: .newlines), fetcher: try Fetcher(name: "issuer"))
        }

        func ask(_ method: FetchRequest.Method, _ path: String, _ body: [UInt8] = []) async throws -> String {
            let request = FetchRequest(
                method, url + path, body: body, totalTimeout: .seconds(20), allowPlainHTTP: true)
            let response = try await fetcher.collect(request, bodyBytesMax: 1 << 16)
            guard response.status == 200 else { throw SetupFailure() }
            return String(decoding: response.body, as: UTF8.self)
        }

        func token(_ keyID: String, _ algorithm: String, _ claims: JSONValue) async throws -> String {
            try await ask(.post, "/test/sign?kid=\(keyID)&alg=\(algorithm)", claims.encode())
        }
    }

    /// Runs a test body with an issuer, and ends that in any case.
    private func withIssuer(_ body: (Issuer, VerifierFixture) async throws -> Void) async throws {
        let issuer = try await Issuer.start()
        do {
            try await body(issuer, VerifierFixture())
        } catch {
            try await issuer.process.stop()
            throw error
        }
        try await issuer.process.stop()
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
                let text = try await issuer.token(keyID, algorithm, goodClaims(of: issuer.url))
                #expect(IdentityToken.looksLike(text))
                let identity = try await fixture.verifier.verify(IdentityToken(text))
                #expect(policy.evaluate(identity) == .matched, "\(algorithm)")
            }
            #expect(try await issuer.ask(.get, "/test/fetches") == "1")
            // The same signature for other claims.
            let good = try await issuer.token("rsa", "RS256", goodClaims(of: issuer.url)).split(separator: ".")
            let other = try await issuer.token("rsa", "RS256", goodClaims(of: issuer.url, ["sub": .string("x")]))
            let forged = "\(good[0]).\(other.split(separator: ".")[1]).\(good[2])"
            #expect(try await fixture.fault(forged)?.kind == .badSignature)
        }
    }

    @Test("an RSA key of 1024 bits does not count, although its issuer publishes it")
    func weakKey() async throws {
        try await withIssuer { issuer, fixture in
            let token = try await issuer.token("rsa-1024", "RS256", goodClaims(of: issuer.url))
            #expect(try await fixture.fault(token)?.kind == .unknownKey)
        }
    }

    @Test(
        "after a rotation new keys are found and old ones end; an issuer that fails or is gone leaves its keys behind")
    func rotationAndEnd() async throws {
        try await withIssuer { issuer, fixture in
            let claims = goodClaims(
                of: issuer.url, ["exp": .number("\(TestClock.startUnixSeconds + 20 * 3600)")])
            let old = try await issuer.token("p256", "ES256", claims)
            #expect(try await fixture.fault(old) == nil)
            _ = try await issuer.ask(.post, "/test/rotate")
            let new = try await issuer.token("p256-new", "ES256", claims)
            #expect(try await fixture.fault(new)?.kind == .unknownKey)
            fixture.clock.advance(.seconds(31))
            #expect(try await fixture.fault(new) == nil)
            fixture.clock.advance(.seconds(31))
            #expect(try await fixture.fault(old)?.kind == .unknownKey)

            _ = try await issuer.ask(.post, "/test/fail?status=500")
            fixture.clock.advance(.seconds(2 * 3600))
            #expect(try await fixture.fault(new) == nil)
            try await issuer.process.stop()
            fixture.clock.advance(.seconds(10 * 3600))
            #expect(try await fixture.fault(new) == nil)
            #expect(try await fixture.fault(old)?.kind == .issuerUnavailable)
        }
    }
}
