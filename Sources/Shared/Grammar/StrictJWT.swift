// SPDX-License-Identifier: Apache-2.0

import OCI

/// The shape of a JWT before anything in it is believed (RFC 7515 §4.1, RFC 8725).
///
/// The header may hold `alg`, `kid` and `typ`, nothing else: so `jwk`, `jku`, `x5u`, `x5c` and `crit` are refused with
/// everything unknown, and no field can bring a key of its own. Both JSON parts pass the bounded scan, which refuses
/// duplicate members; base64url must be canonical.
package enum StrictJWT {
    package static let textBytesMax = 16 * 1024
    package static let algorithm = "EdDSA"

    private static let limits = JSONLimits(bytesMax: textBytesMax)

    /// The key id of a well-formed token; `nil` if it is not one.
    package static func keyID(of text: String) -> String? {
        guard text.utf8.count <= textBytesMax else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3,
            let header = document(parts[0]), let claims = document(parts[1]), case .object = claims,
            let signature = Base64URL.decode(String(Substring(parts[2]))), signature.count == 64,
            case .object(let members) = header,
            members.allSatisfy({ ["alg", "kid", "typ"].contains($0.name) }),
            header["alg"] == .string(algorithm),
            header["typ"] == nil || header["typ"] == .string("JWT"),
            case .string(let keyID)? = header["kid"]
        else { return nil }
        return keyID
    }

    private static func document(_ part: Substring.UTF8View) -> JSONValue? {
        guard let bytes = Base64URL.decode(String(Substring(part))) else { return nil }
        return try? BoundedJSON.parse(bytes, limits: limits)
    }
}
