// SPDX-License-Identifier: Apache-2.0

import Grammar

/// What a client presented in its `Authorization` header, by kind.
enum PresentedCredential: Equatable {
    /// A token as it was shown at its creation, by Basic or as bearer. The user name only for Basic.
    case secret(String, userName: String?)
    /// Anything else presented as bearer: a registry token, an identity token of a CI system, or noise.
    case bearer(String)

    /// What clients are told to log in as.
    static let userName = "x-token"

    /// `nil`: no scheme that is known here, or not of its grammar.
    init?(_ header: String) {
        switch AuthorizationHeader(header) {
        case .basic(let user, let password): self = .secret(password, userName: user)
        case .bearer(let value):
            self = TokenText(value) == nil ? .bearer(value) : .secret(value, userName: nil)
        case nil: return nil
        }
    }
}
