// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing

/// What `edge create` prints and an edge joins with:
/// `depot-edge.<edge id>.<secret, 43 characters of base64url>.<base64url of the origin's URL>`.
package struct JoinCredential: Sendable, Equatable {
    package static let secretBytes = 32
    package static let textBytesMax = 4096

    package let edgeID: String
    package let secret: [UInt8]
    /// Base URL of an origin, without a slash at the end.
    package let originURL: String

    /// - Returns: `nil` if the edge id, the secret or the URL is not one.
    package init?(edgeID: String, secret: [UInt8], originURL: String) {
        guard Self.isEdgeID(edgeID), secret.count == Self.secretBytes, Self.isBaseURL(originURL) else { return nil }
        self.edgeID = edgeID
        self.secret = secret
        self.originURL = originURL
    }

    /// - Parameter text: The credential alone, without white space.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "depot-edge",
            let secret = Base64URL.decode(parts[2]),
            let url = Base64URL.decode(parts[3]).flatMap({ String(validating: $0, as: UTF8.self) })
        else { return nil }
        self.init(edgeID: String(parts[1]), secret: secret, originURL: url)
    }

    /// The whole text, secret included: for the operator who creates the edge.
    package var text: String {
        "depot-edge.\(edgeID).\(Base64URL.encode(secret)).\(Base64URL.encode(originURL.utf8))"
    }

    /// Joining in the clear shows all keys to the network.
    package var isPlainHTTP: Bool { originURL.hasPrefix("http://") }

    package var keys: JoinKeys { JoinKeys(secret: secret, edgeID: edgeID) }

    private static func isEdgeID(_ text: String) -> Bool {
        1...32 ~= text.utf8.count
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// Scheme, host and port, perhaps a path; no user, query or fragment.
    private static func isBaseURL(_ text: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: text.hasPrefix) else { return false }
        let rest = text.utf8.dropFirst(scheme.utf8.count)
        return rest.first.map { $0 != UInt8(ascii: "/") } == true
            && text.utf8.last != UInt8(ascii: "/")
            && rest.allSatisfy { 0x21...0x7E ~= $0 && !"@?#\\\"<>".utf8.contains($0) }
    }
}

extension JoinCredential: CustomStringConvertible, CustomReflectable {
    package var description: String { "join credential of edge \(edgeID) at \(originURL) [secret redacted]" }
    package var customMirror: Mirror { Mirror(self, children: ["edgeID": edgeID, "originURL": originURL]) }
}
