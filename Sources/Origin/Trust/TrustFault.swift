// SPDX-License-Identifier: Apache-2.0

import OCI

/// Why an identity token does not count. What a client is told never holds a value of a policy; the audit log is.
package struct TrustFault: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// Not a token of the one form that is read.
        case malformed
        /// The issuer is none that may be asked.
        case untrustedIssuer
        /// The issuer does not answer as it should, and nothing that it said before is left. May pass.
        case issuerUnavailable
        /// The issuer has no such key for this algorithm.
        case unknownKey
        case badSignature
        /// Expired, not valid yet, or valid for too long.
        case outOfTime
        /// Signed and in time, but for somebody or something else.
        case unmatched
    }

    package let kind: Kind
    /// For the client: names a claim and the kind of value expected, never the value itself.
    package let publicMessage: String
    /// For the audit log; holds claims, never the token.
    package let detail: String

    package init(_ kind: Kind, _ publicMessage: String, detail: String? = nil) {
        self.kind = kind
        self.publicMessage = publicMessage
        self.detail = detail ?? publicMessage
    }

    package var description: String { "\(kind): \(detail)" }

    /// A text of the token, for `detail`: as JSON, so that no control character gets into a log, and cut.
    static func quoted(_ text: String) -> String {
        String(decoding: JSONValue.string(text).encode().prefix(256), as: UTF8.self)
    }

    static func malformed(_ reason: String) -> TrustFault {
        TrustFault(.malformed, "the identity token cannot be read: \(reason)")
    }
}

/// The kind of value that a policy expects of a claim: all that a client learns of it.
package enum ExpectedValue: Sendable, Equatable {
    case issuer, audience, number, uuid, text, textWithPrefix
    /// Of a claim that shows the code of a fork, or of somebody who stepped in.
    case noFork, noRerunWithSSH

    package var words: String {
        switch self {
        case .issuer: "the issuer of the trust relationship"
        case .audience: "the audience of the trust relationship"
        case .number: "a certain number"
        case .uuid: "a certain UUID"
        case .text: "a certain text"
        case .textWithPrefix: "a text with a certain start"
        case .noFork: "a job that does not run the code of a pull request from a fork"
        case .noRerunWithSSH: "a job that was not run again with SSH"
        }
    }

    init(_ condition: ClaimCondition) {
        let texts = condition.values.map(\.text)
        self =
            if !condition.isExact {
                .textWithPrefix
            } else if texts.allSatisfy(Self.number.describes) {
                .number
            } else if texts.allSatisfy(Self.uuid.describes) {
                .uuid
            } else {
                .text
            }
    }

    /// Whether a text is of this kind, for the kinds that have a form.
    func describes(_ text: String) -> Bool {
        switch self {
        case .number:
            !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        case .uuid:
            text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count) == [8, 4, 4, 4, 12]
                && text.utf8.allSatisfy { "0123456789abcdef-".utf8.contains($0) }
        case .issuer, .audience, .text, .textWithPrefix, .noFork, .noRerunWithSSH:
            true
        }
    }
}
