// SPDX-License-Identifier: Apache-2.0

import Crypto
import Grammar
import OCI
import OriginTrust
import Testing

/// Which keys of an issuer verify which tokens.
@Suite struct KeySetTests {
    private let issuer = "https://issuer.example"
    private static let rsa = Result { try TestKey.rsa("rsa") }

    private func fault(_ keys: [JSONValue], _ text: String) throws -> TrustFault? {
        let set = try KeySet(ScriptedIssuer.keySet(keys))
        do throws(TrustFault) {
            try set.verify(IdentityToken(text))
            return nil
        } catch {
            return error
        }
    }

    @Test("every algorithm verifies with its key", arguments: ["RS256", "RS384", "RS512", "PS256"])
    func rsaAlgorithms(name: String) throws {
        let key = try Self.rsa.get()
        let claims = Base64URL.encode(goodClaims(of: issuer).encode())
        let header = Base64URL.encode(Array(#"{"alg":"\#(name)","kid":"rsa"}"#.utf8))
        let signature = Base64URL.encode(try key.sign(Array("\(header).\(claims)".utf8), name))
        #expect(try fault([key.jwk()], "\(header).\(claims).\(signature)") == nil)
        // The same key under another algorithm, and the same signature for another one.
        let other = Base64URL.encode(Array(#"{"alg":"\#(name == "RS256" ? "PS256" : "RS256")","kid":"rsa"}"#.utf8))
        #expect(try fault([key.jwk()], "\(other).\(claims).\(signature)")?.kind == .badSignature)
    }

    @Test("curves verify with their keys")
    func curves() throws {
        for key in [TestKey.p256("k"), .p384("k"), .ed25519("k")] {
            let token = try key.token(goodClaims(of: issuer))
            #expect(try fault([key.jwk()], token) == nil)
            #expect(try fault([key.jwk(["use": .string("sig"), "alg": .string(key.algorithm)])], token) == nil)
        }
    }

    @Test("a changed part, or another key's signature, is refused")
    func forged() throws {
        for key in [try Self.rsa.get(), TestKey.p256("rsa"), .p384("rsa"), .ed25519("rsa")] {
            let token = try key.token(goodClaims(of: issuer))
            let other = try key.token(goodClaims(of: issuer, ["sub": .string("other")]))
            let parts = token.split(separator: ".")
            let others = other.split(separator: ".")
            #expect(try fault([key.jwk()], "\(parts[0]).\(others[1]).\(parts[2])")?.kind == .badSignature)
            #expect(try fault([key.jwk()], "\(parts[0]).\(parts[1]).\(others[2])")?.kind == .badSignature)
            #expect(try fault([key.jwk()], "\(parts[0]).\(parts[1]).AAAA")?.kind == .badSignature)
        }
    }

    @Test("a key verifies with its own family only: no header makes it another key")
    func families() throws {
        let keys = [try Self.rsa.get(), TestKey.p256("rsa"), .p384("rsa"), .ed25519("rsa")]
        for key in keys {
            for other in keys where other.algorithm != key.algorithm {
                let token = try key.token(goodClaims(of: issuer), header: ["alg": .string(other.algorithm)])
                #expect(try fault([key.jwk()], token)?.kind == .unknownKey)
            }
        }
    }

    @Test("keys of different kinds may share an id: the algorithm chooses")
    func sharedID() throws {
        let keys = [TestKey.p256("k"), .ed25519("k"), .p256("k")]
        let document = try keys.map { try $0.jwk() }
        for key in keys { #expect(try fault(document, key.token(goodClaims(of: issuer))) == nil) }
    }

    @Test(
        "a key for another use, or another algorithm than its kind's, is none",
        arguments: [
            ("use", .string("enc")), ("use", .null), ("key_ops", .array([.string("encrypt")])),
            ("key_ops", .string("verify")), ("alg", .string("RS256")), ("alg", .string("ES384")),
            ("alg", .string("HS256")), ("alg", .string("none")), ("alg", .number("1")), ("kid", .string("other")),
            ("kid", nil), ("kty", .string("RSA")), ("kty", .string("oct")), ("kty", .string("OKP")),
            ("crv", .string("P-384")), ("crv", .string("P-521")), ("crv", nil), ("x", .string("AAAA")), ("y", nil),
            ("y", .string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        ] as [(String, JSONValue?)])
    func refusedKeys(member: String, value: JSONValue?) throws {
        let key = TestKey.p256("k")
        let token = try key.token(goodClaims(of: issuer))
        #expect(try fault([key.jwk()], token) == nil)
        #expect(try fault([key.jwk([member: value])], token)?.kind == .unknownKey)
    }

    @Test("a key that names its algorithm serves no other of its family")
    func pinnedAlgorithm() throws {
        let key = try Self.rsa.get()
        let token = try key.token(goodClaims(of: issuer))
        #expect(try fault([key.jwk(["alg": .string("RS256")])], token) == nil)
        #expect(try fault([key.jwk(["alg": .string("RS512")])], token)?.kind == .unknownKey)
    }

    @Test("RSA keys below 2048 bits are none", arguments: [1024, 1920])
    func weakKey(bits: Int) throws {
        let key = try TestKey.rsa("weak", bits: bits)
        #expect(try fault([key.jwk()], key.token(goodClaims(of: issuer)))?.kind == .unknownKey)
    }

    /// The sizes next to the limits, for which no pair of keys is made: 2047 bits fill as many bytes as 2048 do.
    @Test("an RSA key's size counts in bits, and is bounded", arguments: [(2047, false), (2048, true), (8200, false)])
    func keySizes(bits: Int, isTaken: Bool) throws {
        var modulus = [UInt8](repeating: 0xff, count: (bits + 7) / 8)
        modulus[0] = bits % 8 == 0 ? 0xff : 0x7f
        let jwk = try json(#"{"kty":"RSA","kid":"r","n":"\#(Base64URL.encode(modulus))","e":"AQAB"}"#)
        #expect(try KeySet(ScriptedIssuer.keySet([jwk])).contains(keyID: "r") == isTaken)
    }

    @Test("A8: a secret with the right id is no key, and an HMAC under it no signature")
    func secret() throws {
        let secret = [UInt8](repeating: 7, count: 32)
        let jwk = try json(#"{"kty":"oct","kid":"k","alg":"HS256","k":"\#(Base64URL.encode(secret))"}"#)
        let set = try KeySet(ScriptedIssuer.keySet([jwk]))
        #expect(!set.contains(keyID: "k"))
    }

    @Test("keys of no use do not spoil the others")
    func mixed() throws {
        let key = TestKey.ed25519("k")
        let others = try [
            #"{}"#, #"{"kty":"oct","kid":"s","k":"AAAA"}"#, #"{"kty":"PQC","kid":"q"}"#, #""text""#,
            #"{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}"#,
        ].map(json)
        #expect(try fault(others + [key.jwk()], key.token(goodClaims(of: issuer))) == nil)
    }

    @Test("a document that is no JWK set, or has more than 64 keys, is refused")
    func documents() throws {
        for text in ["{}", "[]", #"{"keys":{}}"#, #"{"keys":"x"}"#, "null"] {
            #expect(throws: KeySetError.self) { try KeySet(json(text)) }
        }
        let key = try TestKey.ed25519("k").jwk()
        _ = try KeySet(ScriptedIssuer.keySet(Array(repeating: key, count: 64)))
        #expect(throws: KeySetError.self) { try KeySet(ScriptedIssuer.keySet(Array(repeating: key, count: 65))) }
    }
}
