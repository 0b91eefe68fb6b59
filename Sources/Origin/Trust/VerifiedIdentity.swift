// SPDX-License-Identifier: Apache-2.0

package import OCI

/// What an issuer said of a job, after its signature and its times were checked. Whether that is enough for anything is
/// for policies to say.
package struct VerifiedIdentity: Sendable, Equatable {
    package let issuer: String
    /// All claims: an object.
    package let claims: JSONValue
    /// The `jti` claim, for callers that take a token once only. Unique per issuer (RFC 7519, section 4.1.7).
    package let tokenID: String?
    package let subject: String?
    package let expiresAtUnixSeconds: Int64

    /// For `TrustVerifier`, and for tests of policies: nothing is checked here but the presence of `iss` and `exp`.
    package init?(verified claims: JSONValue) {
        guard let issuer = claims["iss"]?.stringValue, let expiresAt = claims["exp"]?.integerValue else { return nil }
        self.issuer = issuer
        self.claims = claims
        tokenID = claims["jti"]?.stringValue
        subject = claims["sub"]?.stringValue
        expiresAtUnixSeconds = expiresAt
    }
}
