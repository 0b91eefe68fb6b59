// SPDX-License-Identifier: Apache-2.0

import Crypto
import Grammar
import OCI
import OriginTrust
import Testing

/// Tokens that are refused by their form, before any key is asked for: rows A of the catalogue of bad input.
@Suite struct IdentityTokenTests {
    private let key = TestKey.ed25519("one")
    private let issuer = "https://issuer.example"

    private func fault(_ text: String) -> TrustFault? {
        do throws(TrustFault) {
            _ = try IdentityToken(text)
            return nil
        } catch {
            return error
        }
    }

    @Test("a good token is read and names issuer and key")
    func goodToken() throws {
        let token = try IdentityToken(key.token(goodClaims(of: issuer)))
        #expect(token.claimedIssuer == issuer)
        #expect(token.claimedKeyID == "one")
    }

    @Test("fields of the header that bring no key are ignored", arguments: ["x5t", "x5t#S256", "cty"])
    func harmlessFields(field: String) throws {
        _ = try IdentityToken(key.token(goodClaims(of: issuer), header: [field: .string("abc")]))
    }

    @Test("A2-A5: only three parts make a token", arguments: [0, 1, 2, 4, 5])
    func parts(count: Int) throws {
        let parts = try key.token(goodClaims(of: issuer)).split(separator: ".").map(String.init)
        let text = (0..<count).map { parts[$0 % 3] }.joined(separator: ".")
        #expect(fault(text)?.kind == .malformed)
    }

    @Test(
        "A6-A9: an algorithm that is none, symmetric, unknown, or written otherwise is refused",
        arguments: [
            .string("none"), .string("None"), .string("nOnE"), .string(""), .string("HS256"), .string("HS512"),
            .string("ES256K"), .string("rs256"), .string("RSA-OAEP"), .number("1"), .null, nil,
        ] as [JSONValue?])
    func algorithm(value: JSONValue?) throws {
        #expect(fault(try key.token(goodClaims(of: issuer), header: ["alg": value]))?.kind == .malformed)
    }

    @Test("A8: a MAC under the issuer's public key is no signature")
    func publicKeyAsSecret() throws {
        let jwk = try key.jwk()
        let message =
            Base64URL.encode(Array(#"{"alg":"HS256","kid":"one"}"#.utf8)) + "."
            + Base64URL.encode(goodClaims(of: issuer).encode())
        let mac = HMAC<SHA256>.authenticationCode(for: Array(message.utf8), using: SymmetricKey(data: jwk.encode()))
        #expect(fault(message + "." + Base64URL.encode(Array(mac)))?.kind == .malformed)
    }

    @Test(
        "A12-A16: a header that brings a key, wants an extension understood or changes what is signed is refused",
        arguments: ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"])
    func headerFields(field: String) throws {
        let values: [JSONValue] = [try key.jwk(), .string("https://evil.example/keys"), .array([]), .bool(false)]
        for value in values {
            let text = try key.token(goodClaims(of: issuer), header: [field: value])
            #expect(fault(text)?.publicMessage.contains(field) == true)
        }
    }

    @Test(
        "a token that does not name its key is refused",
        arguments: [nil, .null, .string(""), .number("1")] as [JSONValue?])
    func keyID(value: JSONValue?) throws {
        #expect(fault(try key.token(goodClaims(of: issuer), header: ["kid": value]))?.kind == .malformed)
    }

    @Test("a key id is bounded")
    func longKeyID() throws {
        let id = String(repeating: "k", count: 257)
        #expect(fault(try key.token(goodClaims(of: issuer), header: ["kid": .string(id)]))?.kind == .malformed)
    }

    @Test("a token of another type is refused", arguments: [.string("at+jwt"), .string("JWE"), .null] as [JSONValue])
    func type(value: JSONValue) throws {
        #expect(fault(try key.token(goodClaims(of: issuer), header: ["typ": value]))?.kind == .malformed)
    }

    @Test(
        "A23: a token without an issuer, or with one that is no text, is refused",
        arguments: [nil, .number("1")] as [JSONValue?])
    func issuer(value: JSONValue?) throws {
        #expect(fault(try key.token(goodClaims(of: issuer, ["iss": value])))?.kind == .malformed)
    }

    @Test(
        "A28: claims and header name everything once, whatever the case",
        arguments: [
            (#"{"alg":"EdDSA","kid":"one"}"#, #"{"iss":"https://a.example","sub":"a","sub":"b"}"#),
            (#"{"alg":"EdDSA","kid":"one"}"#, #"{"iss":"https://a.example","iss":"https://b.example"}"#),
            (#"{"alg":"EdDSA","kid":"one"}"#, #"{"iss":"https://a.example","sub":"a","Sub":"b"}"#),
            (#"{"alg":"EdDSA","kid":"one","kid":"two"}"#, #"{"iss":"https://a.example"}"#),
            (#"{"alg":"EdDSA","alg":"none","kid":"one"}"#, #"{"iss":"https://a.example"}"#),
        ])
    func duplicates(header: String, claims: String) throws {
        let text = try key.token(Array(header.utf8), Array(claims.utf8))
        #expect(fault(text)?.kind == .malformed)
    }

    @Test(
        "parts that are no JSON objects are refused", arguments: ["", "[]", "\"x\"", "null", "{", "{}x", "\u{FEFF}{}"])
    func noObjects(part: String) throws {
        let header = Array(#"{"alg":"EdDSA","kid":"one"}"#.utf8)
        #expect(fault(try key.token(header, Array(part.utf8)))?.kind == .malformed)
        #expect(fault(try key.token(Array(part.utf8), goodClaims(of: issuer).encode()))?.kind == .malformed)
    }

    @Test("A29: base64url that is not canonical is refused in every part", arguments: 0..<3)
    func canonical(part: Int) throws {
        let token = try key.token(goodClaims(of: issuer))
        func with(_ change: (String) -> String) -> String {
            var parts = token.split(separator: ".").map(String.init)
            parts[part] = change(parts[part])
            return parts.joined(separator: ".")
        }
        #expect(fault(with { $0 + "=" })?.kind == .malformed)
        #expect(fault(with { $0 + " " })?.kind == .malformed)
        #expect(fault(with { "\n" + $0 })?.kind == .malformed)
        #expect(fault(with { "+" + $0.dropFirst() })?.kind == .malformed)
        // Bits that no byte takes: the 64 bytes of a signature leave four of them in the last character.
        if part == 2 { #expect(fault(String(token.dropLast()) + "_")?.kind == .malformed) }
    }

    @Test("A30: a token whose signature was taken off is refused")
    func stripped() throws {
        let parts = try key.token(goodClaims(of: issuer)).split(separator: ".")
        #expect(fault("\(parts[0]).\(parts[1]).")?.kind == .malformed)
    }

    @Test("A31: a token is read up to 16 KiB")
    func size() throws {
        func token(_ paddingBytes: Int) throws -> String {
            try key.token(goodClaims(of: issuer, ["pad": .string(String(repeating: "x", count: paddingBytes))]))
        }
        #expect(fault(try token(11_000)) == nil)
        #expect(fault(try token(13_000))?.kind == .malformed)
    }

    @Test("a CI system's token is told from other credentials by its issuer")
    func looksLike() throws {
        #expect(IdentityToken.looksLike(try key.token(goodClaims(of: issuer))))
        #expect(IdentityToken.looksLike(try key.token(goodClaims(of: "http://issuer.internal"))))
        #expect(!IdentityToken.looksLike(try key.token(goodClaims(of: "depot-registry"))))
        #expect(!IdentityToken.looksLike(try key.token(goodClaims(of: issuer, ["iss": nil]))))
        for text in ["", "depot_org_abc", "eyJ", "eyJ.eyJ.eyJ", "a.b.c", String(repeating: "eyJ.", count: 1 << 16)] {
            #expect(!IdentityToken.looksLike(text))
        }
    }
}
