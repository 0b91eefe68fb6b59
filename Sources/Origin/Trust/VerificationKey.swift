// SPDX-License-Identifier: Apache-2.0

import Crypto
import CryptoExtras
import FoundationEssentials
import Grammar
import OCI

/// A public key of an issuer, for one family of algorithms.
///
/// RSA of 2048 to 8192 bits, P-256, P-384, and Ed25519 (RFC 7518, section 6; RFC 8037). A key that names its algorithm
/// serves that one only (RFC 8725, section 3.1).
struct VerificationKey: Sendable {
    private enum Material: Sendable {
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    private static let rsaBits = 2048...8192

    let id: String
    private let material: Material
    private let algorithm: SigningAlgorithm?

    /// - Parameter key: A JWK (RFC 7517, section 4).
    /// - Returns: `nil` for a key that verifies nothing here: a secret, one for encryption, a weak or unknown one, one
    ///   without an id.
    init?(_ key: JSONValue) {
        guard let id = key["kid"]?.stringValue, !id.isEmpty else { return nil }
        guard key["use"] == nil || key["use"] == .string("sig") else { return nil }
        if let operations = key["key_ops"] {
            guard operations.arrayValue?.contains(.string("verify")) == true else { return nil }
        }
        if let name = key["alg"] {
            guard let algorithm = name.stringValue.flatMap(SigningAlgorithm.init) else { return nil }
            self.algorithm = algorithm
        } else {
            algorithm = nil
        }
        guard let material = Self.material(of: key) else { return nil }
        self.id = id
        self.material = material
        // A key that names another family's algorithm is no key of either.
        if let algorithm, !Self.canUse(material, for: algorithm) { return nil }
    }

    /// Whether the key verifies signatures of this algorithm.
    func serves(_ algorithm: SigningAlgorithm) -> Bool {
        self.algorithm.map { $0 == algorithm } ?? Self.canUse(material, for: algorithm)
    }

    /// - Precondition: The key serves the algorithm.
    func verifies(_ signature: [UInt8], of message: [UInt8], with algorithm: SigningAlgorithm) -> Bool {
        precondition(serves(algorithm), "a key verifies with its own algorithm only")
        switch material {
        case .rsa(let key):
            let signature = _RSA.Signing.RSASignature(rawRepresentation: signature)
            // RS256 is what nearly every issuer signs with; the name warns of PKCS #1 v1.5 in new designs.
            let pkcs = _RSA.Signing.Padding.insecurePKCS1v1_5
            switch algorithm {
            case .rs256: return key.isValidSignature(signature, for: SHA256.hash(data: message), padding: pkcs)
            case .rs384: return key.isValidSignature(signature, for: SHA384.hash(data: message), padding: pkcs)
            case .rs512: return key.isValidSignature(signature, for: SHA512.hash(data: message), padding: pkcs)
            case .ps256: return key.isValidSignature(signature, for: SHA256.hash(data: message), padding: .PSS)
            case .es256, .es384, .edDSA: return false
            }
        case .p256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: message)
        case .p384(let key):
            guard let signature = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: message)
        case .ed25519(let key):
            return key.isValidSignature(signature, for: message)
        }
    }

    private static func canUse(_ material: Material, for algorithm: SigningAlgorithm) -> Bool {
        switch (material, algorithm) {
        case (.rsa, .rs256), (.rsa, .rs384), (.rsa, .rs512), (.rsa, .ps256): true
        case (.p256, .es256), (.p384, .es384), (.ed25519, .edDSA): true
        default: false
        }
    }

    private static func material(of key: JSONValue) -> Material? {
        switch (key["kty"]?.stringValue, key["crv"]?.stringValue) {
        case ("RSA", nil):
            guard let modulus = bytes(key["n"]), let exponent = bytes(key["e"]), exponent.count <= 8,
                rsaBits.contains(bitCount(of: modulus))
            else { return nil }
            return (try? _RSA.Signing.PublicKey(n: modulus, e: exponent)).map(Material.rsa)
        case ("EC", "P-256"):
            return point(of: key, coordinateBytes: 32)
                .flatMap { try? P256.Signing.PublicKey(x963Representation: $0) }.map(Material.p256)
        case ("EC", "P-384"):
            return point(of: key, coordinateBytes: 48)
                .flatMap { try? P384.Signing.PublicKey(x963Representation: $0) }.map(Material.p384)
        case ("OKP", "Ed25519"):
            return bytes(key["x"])
                .flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }.map(Material.ed25519)
        default:
            return nil
        }
    }

    /// An uncompressed point (SEC 1, section 2.3.3). Coordinates have their full length (RFC 7518, section 6.2.1.2).
    private static func point(of key: JSONValue, coordinateBytes: Int) -> [UInt8]? {
        guard let x = bytes(key["x"]), let y = bytes(key["y"]), x.count == coordinateBytes, y.count == coordinateBytes
        else { return nil }
        return [4] + x + y
    }

    private static func bytes(_ value: JSONValue?) -> [UInt8]? { value?.stringValue.flatMap { Base64URL.decode($0) } }

    private static func bitCount(of number: [UInt8]) -> Int {
        let digits = number.drop { $0 == 0 }
        return digits.count * 8 - (digits.first?.leadingZeroBitCount ?? 0)
    }
}
