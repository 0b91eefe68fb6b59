// SPDX-License-Identifier: Apache-2.0

/// Why an edge cannot join: shown in one line when it starts. What fails later is logged and tried again.
package struct EdgeControlError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// The credential file is missing, unreadable, or holds no credential.
        case credential
        /// The origin's URL is no base URL, or plain http where that is refused.
        case origin
        /// The stored keys cannot be read or written.
        case storage
    }

    package let kind: Kind
    package let message: String

    init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var description: String { message }
}
