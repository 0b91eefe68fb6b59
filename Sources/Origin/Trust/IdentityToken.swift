// SPDX-License-Identifier: Apache-2.0

import Grammar
import OCI

/// An identity token as a CI job presents it (OpenID Connect Core 1.0, section 2): well-formed, and not believed.
///
/// A JWS in compact form (RFC 7515, section 7.1): three parts in canonical base64url, both JSON parts without duplicate
/// names. No field of the header brings a key of its own: those that could are refused, and so is `crit`, whose extensions
/// would have to be understood (RFC 7515, section 4.1).
package struct IdentityToken: Sendable {
    package static let textBytesMax = 16 * 1024
    private static let keyIDBytesMax = 256

    /// Parts of the header that bring or fetch a key, or change what is signed (RFC 7797).
    private static let refusedFields = ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"]

    /// Says nothing until the signature is verified; tells which policies could be meant, and whose key to ask for.
    package let claimedIssuer: String
    package let claimedKeyID: String
    let algorithm: SigningAlgorithm
    let claims: JSONValue
    /// Header and claims as they were signed.
    let signedBytes: [UInt8]
    let signature: [UInt8]

    /// - Throws: `.malformed`.
    package init(_ text: some StringProtocol) throws(TrustFault) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.textBytesMax else { throw .malformed("it is too long") }
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("it has no three parts") }

        let header = try Self.document(parts[0], "header")
        if let field = Self.refusedFields.first(where: { header[$0] != nil }) {
            throw .malformed("its header has \(field)")
        }
        if let type = header["typ"], type.stringValue?.uppercased() != "JWT" { throw .malformed("it is no JWT") }
        guard let algorithm = header["alg"]?.stringValue.flatMap(SigningAlgorithm.init) else {
            throw .malformed("its algorithm is none that is taken")
        }
        guard let keyID = header["kid"]?.stringValue, !keyID.isEmpty, keyID.utf8.count <= Self.keyIDBytesMax else {
            throw .malformed("it does not name its key")
        }

        claims = try Self.document(parts[1], "claims")
        guard let issuer = claims["iss"]?.stringValue else { throw .malformed("it has no issuer") }
        guard let signature = Base64URL.decode(Array(parts[2])), !signature.isEmpty else {
            throw .malformed("it has no signature")
        }
        self.algorithm = algorithm
        self.signature = signature
        claimedIssuer = issuer
        claimedKeyID = keyID
        signedBytes = Array(bytes[..<parts[1].endIndex])
    }

    /// Whether a credential is meant as the identity token of a CI system: a JWT whose issuer is a URL. The registry's own
    /// tokens have an issuer that is none.
    package static func looksLike(_ text: some StringProtocol) -> Bool {
        // "eyJ" is how base64url starts for every header that starts with {" as all do.
        guard text.utf8.count <= textBytesMax, text.utf8.starts(with: "eyJ".utf8) else { return false }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let claims = try? document(Array(parts[1])[...], "claims"),
            let issuer = claims["iss"]?.stringValue
        else { return false }
        return ["https://", "http://"].contains { issuer.utf8.starts(with: $0.utf8) }
    }

    private static func document(_ part: ArraySlice<UInt8>, _ name: String) throws(TrustFault) -> JSONValue {
        guard let bytes = Base64URL.decode(Array(part)) else { throw .malformed("its \(name) is not base64url") }
        let value: JSONValue
        do throws(JSONError) {
            value = try BoundedJSON.parse(bytes, limits: JSONLimits(bytesMax: textBytesMax, depthMax: 16))
        } catch {
            throw .malformed("its \(name): \(error)")
        }
        guard case .object = value else { throw .malformed("its \(name) is no object") }
        return value
    }
}
