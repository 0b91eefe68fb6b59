// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import Grammar
import Hashing
import OCI
import Testing

/// A genuine registry token that is cut up and put together again, as the `@` lines of a case say:
///
/// - `token SCOPE`, perhaps `for SERVICE`: the genuine one, asked for with `{basic}`.
/// - `header JSON`: in place of its header. `{kid}` is the id of the key that signed it.
/// - `claim NAME JSON`, `without NAME`, `twice NAME JSON`: one of its claims.
/// - `signature`: of the genuine token, unless `missing` (with its dot), `empty`, `unused bits` (the last character has
///   some: they are set), `hmac KEY` or `stranger` (Ed25519 by a key that is not the registry's).
struct ForgedToken {
    /// Not secret: nobody trusts it. Its public half and a certificate stand in `authorization.txt`.
    private static let strangerSeed = [UInt8](repeating: 7, count: 32)

    private let genuine: [String]
    private var header: String
    private var claims: [JSONMember]
    private var signature = "genuine"
    let keyID: String

    /// - Parameter genuine: A registry token that nothing is wrong with.
    init(genuine: String) throws {
        self.genuine = genuine.split(separator: ".").map(String.init)
        try #require(self.genuine.count == 3)
        header = self.genuine[0]
        claims = try #require(try Self.document(self.genuine[1]).objectValue)
        keyID = try #require(try Self.document(header)["kid"]?.stringValue)
    }

    private static func document(_ part: String) throws -> JSONValue {
        try json(try #require(Base64URL.decode(part)))
    }

    private static func json(_ bytes: [UInt8]) throws -> JSONValue {
        try BoundedJSON.parse(bytes, limits: JSONLimits(bytesMax: 64 * .kibibyte))
    }

    /// - Parameters:
    ///   - verb: The first word of the line, other than `token`.
    ///   - text: The rest of it.
    mutating func apply(_ verb: String, _ text: String) throws {
        let words = text.split(separator: " ", maxSplits: 1).map(String.init)
        switch verb {
        case "header": header = Base64URL.encode(text.utf8)
        case "signature": signature = text
        case "without": claims.removeAll { $0.name == text }
        case "claim", "twice":
            try #require(words.count == 2)
            let claim = JSONMember(name: words[0], value: try Self.json(Array(words[1].utf8)))
            let index = claims.firstIndex { $0.name == claim.name }
            if verb == "twice" { claims.append(claim) } else { claims[try #require(index)] = claim }
        default: throw BadInputSyntaxError(description: "@ \(verb): no such change")
        }
    }

    func text() throws -> String {
        // Encoding again would change nothing, but the genuine text is the better control.
        let isChanged = try Self.document(genuine[1]).objectValue != claims
        let payload = isChanged ? Base64URL.encode(JSONValue.object(claims).encode()) : genuine[1]
        let signed = "\(header).\(payload)"
        let words = signature.split(separator: " ", maxSplits: 1).map(String.init)
        switch words[0] {
        case "genuine": return "\(signed).\(genuine[2])"
        case "missing": return signed
        case "empty": return "\(signed)."
        case "unused": return "\(signed).\(try Self.withUnusedBits(genuine[2]))"
        case "hmac":
            let key = words.count > 1 ? Array(words[1].utf8) : []
            return "\(signed).\(Base64URL.encode(MAC.hmacSHA256(key: key, Array(signed.utf8))))"
        case "stranger":
            let key = try Curve25519.Signing.PrivateKey(rawRepresentation: Self.strangerSeed)
            return "\(signed).\(Base64URL.encode(try key.signature(for: Array(signed.utf8))))"
        default: throw BadInputSyntaxError(description: "@ signature \(signature): no such signature")
        }
    }

    /// The same bytes in a form that is not canonical: 64 bytes leave four bits of the last character unused.
    private static func withUnusedBits(_ signature: String) throws -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let last = try #require(signature.last.flatMap { alphabet.firstIndex(of: $0) })
        return signature.dropLast() + String(alphabet[last ^ 1])
    }
}
