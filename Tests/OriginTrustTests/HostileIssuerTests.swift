// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import Testing

/// Issuers that lie, lead elsewhere, or send what is no answer: none of their tokens counts.
@Suite(.timeLimit(.minutes(1)))
struct HostileIssuerTests {
    private let key = TestKey.ed25519("one")

    /// The fault of an otherwise good token of an issuer that was changed in one respect.
    private func fault(
        privateHosts: Set<String> = ["127.0.0.1"], fetchTimeout: Duration = .seconds(60),
        _ change: (ScriptedIssuer) throws -> Void
    ) async throws -> TrustFault? {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        try change(issuer)
        return try await VerifierFixture(privateHosts: privateHosts, fetchTimeout: fetchTimeout).fault(
            key.token(goodClaims(of: issuer.url)))
    }

    @Test("without any change the issuer is fine")
    func unchanged() async throws { #expect(try await fault { _ in } == nil) }

    @Test("a configuration about another issuer", arguments: ["", "/", "/other"])
    func otherIssuer(suffix: String) async throws {
        let fault = try await fault { issuer in
            issuer.setConfiguration(issuer: suffix.isEmpty ? "https://gitlab.com" : issuer.url + suffix)
        }
        #expect(fault?.kind == .issuerUnavailable)
        #expect(fault?.detail.contains("another issuer") == true)
    }

    @Test(
        "keys at a place that is not asked",
        arguments: [
            ("http://keys.example/keys", "not served by https"), ("https://127.0.0.1/keys", "fetched"),
            ("file:///etc/passwd", "plain URL"), ("/keys", "plain URL"), ("", "plain URL"),
            ("https://user@keys.example/keys", "plain URL"), ("https://keys.example\\@127.0.0.1/", "plain URL"),
            ("https://Keys.example/keys", "plain URL"), ("https://keys.example/a/../b", "plain URL"),
            ("https://keys.example/keys#x", "plain URL"), ("https://keys.example:0/keys", "plain URL"),
            ("https://keys.example:99999/keys", "plain URL"), ("https:///keys", "plain URL"),
            ("https://keys.example/\r\nX: y", "plain URL"),
        ])
    func keysPlace(url: String, reason: String) async throws {
        let fault = try await fault { $0.setConfiguration(keysURL: url) }
        #expect(fault?.kind == .issuerUnavailable)
        #expect(fault?.detail.contains(reason) == true, "\(fault?.detail ?? "")")
    }

    @Test("a redirect is not followed, wherever it leads")
    func redirect() async throws {
        for path in [ScriptedIssuer.configurationPath, ScriptedIssuer.keysPath] {
            let inside = try ScriptedIssuer(keys: key.jwk())
            let fault = try await fault { issuer in
                issuer.set(
                    path, .raw("HTTP/1.1 302 Found\r\nLocation: \(inside.url)\(path)\r\nContent-Length: 0\r\n\r\n"))
            }
            #expect(fault?.kind == .issuerUnavailable)
            #expect(fault?.detail.contains("302") == true)
            #expect(inside.askedCount(path) == 0)
            inside.close()
        }
    }

    @Test("an endless body ends at its limit")
    func endless() async throws {
        for path in [ScriptedIssuer.configurationPath, ScriptedIssuer.keysPath] {
            let fault = try await fault { $0.set(path, .endless) }
            #expect(fault?.kind == .issuerUnavailable)
            #expect(fault?.detail.contains("tooLarge") == true)
        }
    }

    @Test("a body that is announced above 256 KiB is not read")
    func announced() async throws {
        let fault = try await fault { issuer in
            issuer.set(ScriptedIssuer.keysPath, .raw("HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n"))
        }
        #expect(fault?.detail.contains("tooLarge") == true)
    }

    @Test(
        "what is no JSON of the right form",
        arguments: [
            "<html><body>Sign in</body></html>", "", "[]", "null", "{}", #"{"issuer":1}"#,
            #"{"issuer":"a","issuer":"b"}"#, String(repeating: "[", count: 1000),
        ])
    func noDocument(body: String) async throws {
        for path in [ScriptedIssuer.configurationPath, ScriptedIssuer.keysPath] {
            let fault = try await fault { issuer in
                issuer.set(
                    path,
                    .raw(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    ))
            }
            #expect(fault?.kind == .issuerUnavailable)
        }
    }

    @Test(
        "an answer that breaks off, or is none",
        arguments: ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "{}", "", "HTTP/1.1 200 OK\r\n"])
    func broken(text: String) async throws {
        let fault = try await fault { $0.set(ScriptedIssuer.configurationPath, .hangUp(text)) }
        #expect(fault?.kind == .issuerUnavailable)
    }

    @Test("an issuer that says nothing more is given up when its time is over")
    func silent() async throws {
        let start = ContinuousClock.now
        let fault = try await fault(fetchTimeout: .seconds(2)) { issuer in
            issuer.set(ScriptedIssuer.keysPath, .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
        }
        #expect(fault?.kind == .issuerUnavailable)
        #expect(fault?.detail.contains("timeout") == true)
        #expect(ContinuousClock.now - start > .seconds(1))
    }

    @Test("a private issuer whose keys lie at another private host that nobody named")
    func otherPrivateHost() async throws {
        let fault = try await fault { issuer in
            issuer.setConfiguration(
                keysURL: issuer.url.replacing("http://127.0.0.1", with: "https://localhost") + "/keys")
        }
        #expect(fault?.detail.contains("the host has an address that is not public") == true)
    }

    @Test("an issuer at a private address that nobody named is not even connected to")
    func privateAddress() async throws {
        let issuer = try ScriptedIssuer(keys: key.jwk())
        defer { issuer.close() }
        let fixture = try VerifierFixture(privateHosts: [])
        for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let url = issuer.url.replacing("http://127.0.0.1", with: "https://\(host)")
            let fault = try await fixture.fault(key.token(goodClaims(of: url)))
            #expect(fault?.kind == .issuerUnavailable)
            #expect(fault?.detail.contains("the host has an") == true, "\(host)")
        }
        #expect(issuer.askedCount(ScriptedIssuer.configurationPath) == 0)
    }

    @Test(
        "an issuer that is no plain https URL is not asked",
        arguments: [
            "http://issuer.example", "https://issuer.example/", "https://Issuer.example", "ftp://issuer.example",
            "https://user:secret@issuer.example", "https://issuer.example?x=y", "https://issuer.example/a?x=y",
            "https://issuer.example#x",
            "https://issuer.example/../x", "https://issuer.example//x", "https://", "issuer.example",
            "https://issuer.example:", "https://issuer.example:0443", "https://[::1", "https://é.example",
            "https://issuer.example.",
        ])
    func badIssuer(issuer: String) async throws {
        #expect(try await VerifierFixture().fault(key.token(goodClaims(of: issuer)))?.kind == .untrustedIssuer)
    }

    @Test("keys that must not verify: a secret, RSA of 1024 bits, another algorithm's")
    func hostileKeys() async throws {
        let weak = try TestKey.rsa("one", bits: 1024)
        let sets: [(TestKey, JSONValue)] = try [
            (key, json(#"{"kty":"oct","kid":"one","k":"AAAAAAAAAAAAAAAAAAAAAA"}"#)),
            (weak, weak.jwk()),
            (key, key.jwk(["alg": .string("RS256")])),
            (key, key.jwk(["use": .string("enc")])),
        ]
        for (signer, jwk) in sets {
            let issuer = try ScriptedIssuer(keys: jwk)
            let fault = try await VerifierFixture().fault(signer.token(goodClaims(of: issuer.url)))
            #expect(fault?.kind == .unknownKey)
            issuer.close()
        }
    }
}
