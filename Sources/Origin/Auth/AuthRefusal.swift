// SPDX-License-Identifier: Apache-2.0

package import HTTPTypes
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
        /// The repository is visible, and what was asked for in it is not: the same answer as for absent content.
        case invisibleContent
        /// Too often.
        case limited(retryAfter: Duration)
        /// The credential cannot be judged now: the database is away.
        case unavailable
    }

    package let kind: Kind
    /// For the client; never names what the client did not present itself.
    package let message: String
    /// The whole `WWW-Authenticate` value of a 401.
    package let challenge: String?
    /// Who was refused, if the credential counts: for the audit log.
    package let identity: Identity?

    package init(_ kind: Kind, _ message: String, challenge: String? = nil, identity: Identity? = nil) {
        self.kind = kind
        self.message = message
        self.challenge = challenge
        self.identity = identity
    }

    /// HTTP status of the answer.
    package var status: Int {
        switch kind {
        case .malformed: 400
        case .unauthorized: 401
        case .denied: 403
        case .invisible, .invisibleContent: 404
        case .limited: 429
        case .unavailable: 503
        }
    }

    /// `Retry-After`, in whole seconds; `nil`: none.
    package var retryAfterSeconds: Int? {
        switch kind {
        case .limited(let retryAfter): max(1, Int((retryAfter / .seconds(1)).rounded(.up)))
        case .unavailable: 1
        case .malformed, .unauthorized, .denied, .invisible, .invisibleContent: nil
        }
    }

    /// What the answer carries besides its body: `WWW-Authenticate`, `Retry-After`.
    package var headers: HTTPFields {
        var headers: HTTPFields = [:]
        if let challenge { headers[.wwwAuthenticate] = challenge }
        if let retryAfterSeconds { headers[.retryAfter] = String(retryAfterSeconds) }
        return headers
    }

    /// Code of the error document; `nil`: the answer is plain text (5xx) with `Retry-After`.
    package var code: OCIErrorCode? {
        switch kind {
        case .malformed: .unsupported
        case .unauthorized: .unauthorized
        case .denied: .denied
        case .invisible, .invisibleContent: .nameUnknown
        case .limited: .tooManyRequests
        case .unavailable: nil
        }
    }
}
