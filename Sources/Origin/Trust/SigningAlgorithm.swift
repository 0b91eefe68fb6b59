// SPDX-License-Identifier: Apache-2.0

/// Algorithms of signatures that are verified (RFC 7518, section 3.1; RFC 8037). Asymmetric ones only: with a shared secret
/// an issuer's public key could pass for it (RFC 8725, section 2.1).
package enum SigningAlgorithm: String, Sendable, CaseIterable {
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case es256 = "ES256"
    case es384 = "ES384"
    case edDSA = "EdDSA"
}
