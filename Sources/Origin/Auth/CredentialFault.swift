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
    /// The database that knows is away.
    case storeUnavailable

    /// What is told to whoever presented the credential; the last two cases only who holds the whole secret can reach.
    package var message: String {
        switch self {
        case .invalid: "invalid credential"
        case .revoked: "the token was revoked"
        case .expired(let instant): "the token expired at \(instant.formatted(.iso8601))"
        case .storeUnavailable: "try again shortly"
        }
    }

    package func refusal(challenge: String?) -> AuthRefusal {
        self == .storeUnavailable
            ? AuthRefusal(.unavailable, message) : AuthRefusal(.unauthorized, message, challenge: challenge)
    }
}
