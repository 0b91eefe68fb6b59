// SPDX-License-Identifier: Apache-2.0

import Crypto
import CryptoExtras
import Foundation
import Grammar
import OCI
import OriginTrust

/// A key pair of an issuer that tests play themselves.
struct TestKey: Sendable {
    enum Material: Sendable {
        case rsa(_RSA.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
    }

    let id: String
    let material: Material

    static func ed25519(_ id: String) -> TestKey { TestKey(id: id, material: .ed25519(.init())) }
    static func p256(_ id: String) -> TestKey { TestKey(id: id, material: .p256(.init())) }
    static func p384(_ id: String) -> TestKey { TestKey(id: id, material: .p384(.init())) }

    /// - Parameter bits: Fewer than 1024 are not made.
    static func rsa(_ id: String, bits: Int = 2048) throws -> TestKey {
        TestKey(id: id, material: .rsa(try .init(unsafeKeySize: .init(bitCount: bits))))
    }

    var algorithm: String {
        switch material {
        case .rsa: "RS256"
        case .p256: "ES256"
        case .p384: "ES384"
        case .ed25519: "EdDSA"
        }
    }

    /// The public half.
    /// - Parameter changes: Members in place of the usual ones; `nil` takes one out.
    func jwk(_ changes: KeyValuePairs<String, JSONValue?> = [:]) throws -> JSONValue {
        var members: [(String, JSONValue?)] = [("kid", .string(id))]
        func text(_ bytes: some Collection<UInt8>) -> JSONValue { .string(Base64URL.encode(bytes)) }
        switch material {
        case .rsa(let key):
            let numbers = try key.publicKey.getKeyPrimitives()
            members += [
                ("kty", .string("RSA")), ("n", text(numbers.modulus)), ("e", text(numbers.publicExponent)),
            ]
        case .p256(let key):
            let point = key.publicKey.rawRepresentation
            members += [
                ("kty", .string("EC")), ("crv", .string("P-256")), ("x", text(point.prefix(32))),
                ("y", text(point.suffix(32))),
            ]
        case .p384(let key):
            let point = key.publicKey.rawRepresentation
            members += [
                ("kty", .string("EC")), ("crv", .string("P-384")), ("x", text(point.prefix(48))),
                ("y", text(point.suffix(48))),
            ]
        case .ed25519(let key):
            members += [
                ("kty", .string("OKP")), ("crv", .string("Ed25519")), ("x", text(key.publicKey.rawRepresentation)),
            ]
        }
        return object(members, changes)
    }

    /// - Parameter algorithm: Of the signature itself.
    func sign(_ message: [UInt8], _ algorithm: String? = nil) throws -> [UInt8] {
        switch material {
        case .rsa(let key):
            let pkcs = _RSA.Signing.Padding.insecurePKCS1v1_5
            return switch algorithm ?? self.algorithm {
            case "RS384": Array(try key.signature(for: SHA384.hash(data: message), padding: pkcs).rawRepresentation)
            case "RS512": Array(try key.signature(for: SHA512.hash(data: message), padding: pkcs).rawRepresentation)
            case "PS256": Array(try key.signature(for: SHA256.hash(data: message), padding: .PSS).rawRepresentation)
            default: Array(try key.signature(for: SHA256.hash(data: message), padding: pkcs).rawRepresentation)
            }
        case .p256(let key): return Array(try key.signature(for: message).rawRepresentation)
        case .p384(let key): return Array(try key.signature(for: message).rawRepresentation)
        case .ed25519(let key): return Array(try key.signature(for: message))
        }
    }

    /// A token with a right signature, whatever its header and claims say.
    /// - Parameter header: Members in place of `typ`, `alg` and `kid`; `nil` takes one out.
    func token(_ claims: JSONValue, header: KeyValuePairs<String, JSONValue?> = [:]) throws -> String {
        let usual: [(String, JSONValue?)] = [
            ("typ", .string("JWT")), ("alg", .string(algorithm)), ("kid", .string(id)),
        ]
        return try token(object(usual, header).encode(), claims.encode())
    }

    func token(_ header: [UInt8], _ claims: [UInt8]) throws -> String {
        let message = "\(Base64URL.encode(header)).\(Base64URL.encode(claims))"
        return "\(message).\(Base64URL.encode(try sign(Array(message.utf8))))"
    }
}
