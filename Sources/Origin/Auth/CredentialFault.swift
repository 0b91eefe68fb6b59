// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// Why a presented credential does not count.
package enum CredentialFault: Error, Sendable, Equatable {
    /// Unknown, malformed, wrongly signed, out of time or for another host.
    case invalid
    /// Known, and withdrawn.
    case revoked
    /// Known, and past its end.
    case expired(at: Date)
    /// An identity token of a CI system that no trust relationship accepts, and why, in words for its holder.
    case untrusted(String)
    /// The database, or the issuer, that knows is away.
    case storeUnavailable
    /// The token is used too often, or too many credentials from this address do not count.
    case limited(retryAfter: Duration)

    /// What is told to whoever presented the credential; only who holds the whole secret can reach any but the first
    /// and the last.
    package var message: String {
        switch self {
        case .invalid: "invalid credential"
        case .revoked: "the token was revoked"
        case .expired(let instant): "the token expired at \(instant.formatted(.iso8601))"
        case .untrusted(let reason): "the identity token is not accepted: \(reason)"
        case .storeUnavailable: "try again shortly"
        case .limited: "too many requests"
        }
    }

    package func refusal(challenge: String?) -> AuthRefusal {
        switch self {
        case .storeUnavailable: AuthRefusal(.unavailable, message)
        case .limited(let retryAfter): AuthRefusal(.limited(retryAfter: retryAfter), message)
        case .invalid, .revoked, .expired, .untrusted: AuthRefusal(.unauthorized, message, challenge: challenge)
        }
    }
}
