// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Why a request may not go on. The surface that answers turns it into status, body and headers.
package struct AuthRefusal: Error, Sendable {
    package enum Kind: Sendable, Hashable {
        /// More than one `Authorization` header, or one that is not of its grammar.
        case malformed
        /// No credential, or one that does not hold.
        case unauthorized
        /// The repository is visible, the right is missing.
        case denied
        /// The organization or repository is not visible: the same answer as for an absent one.
        case invisible
        /// The credential cannot be judged now: the database is away.
        case unavailable
    }

    package let kind: Kind
    /// For the client; never names what the client did not present itself.
    package let message: String
    /// The whole `WWW-Authenticate` value of a 401.
    package let challenge: String?

    package init(_ kind: Kind, _ message: String, challenge: String? = nil) {
        self.kind = kind
        self.message = message
        self.challenge = challenge
    }

    /// HTTP status of the answer.
    package var status: Int {
        switch kind {
        case .malformed: 400
        case .unauthorized: 401
        case .denied: 403
        case .invisible: 404
        case .unavailable: 503
        }
    }

    /// Code of the error document; `nil`: the answer is plain text (5xx) with `Retry-After`.
    package var code: OCIErrorCode? {
        switch kind {
        case .malformed: .unsupported
        case .unauthorized: .unauthorized
        case .denied: .denied
        case .invisible: .nameUnknown
        case .unavailable: nil
        }
    }
}
