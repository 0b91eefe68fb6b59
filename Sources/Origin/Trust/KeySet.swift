// SPDX-License-Identifier: Apache-2.0

package import OCI

/// The keys of one issuer by which tokens can be verified: its JWK set (RFC 7517, section 5) without all others.
package struct KeySet: Sendable {
    package static let keyCountMax = 64
    package static let bytesMax = 256 * 1024

    private let keys: [VerificationKey]

    /// - Throws: `KeySetError` for a document that is no JWK set, or too large. Single keys that are of no use are left
    ///   out, as RFC 7517 wants it: an issuer may publish kinds that we do not know.
    package init(_ document: JSONValue) throws(KeySetError) {
        guard let keys = document["keys"]?.arrayValue else { throw KeySetError("the keys are no JWK set") }
        guard keys.count <= Self.keyCountMax else {
            throw KeySetError("the issuer has more than \(Self.keyCountMax) keys")
        }
        self.keys = keys.compactMap(VerificationKey.init)
    }

    package func contains(keyID: String) -> Bool { keys.contains { $0.id == keyID } }

    /// - Throws: `.unknownKey` if no key of this id serves the token's algorithm, `.badSignature` if none made it.
    package func verify(_ token: IdentityToken) throws(TrustFault) {
        // Keys of different kinds may share an id (RFC 7517, section 4.5).
        let candidates = keys.filter { $0.id == token.claimedKeyID && $0.serves(token.algorithm) }
        guard !candidates.isEmpty else {
            throw TrustFault(
                .unknownKey, "the issuer has no such key for this algorithm",
                detail: "the issuer has no key \(TrustFault.quoted(token.claimedKeyID)) for \(token.algorithm.rawValue)"
            )
        }
        guard
            candidates.contains(where: {
                $0.verifies(token.signature, of: token.signedBytes, with: token.algorithm)
            })
        else { throw TrustFault(.badSignature, "the signature of the identity token is wrong") }
    }
}

/// Why an issuer's documents give no keys. For the log.
package struct KeySetError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
