// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing

/// The link keys of one edge.
package struct KeysAnswer: EdgeMessage {
    package static let bytesMax = 64 * 1024

    package enum State: String, Codable, Sendable { case previous, current, next }

    package struct Key: Codable, Sendable, Equatable {
        /// The master's id, as in links.
        package var id: String
        /// Base64url of the key itself, derived for this edge.
        package var secret: String
        package var state: State

        package init(id: String, secret: [UInt8], state: State) {
            self.id = id
            self.secret = Base64URL.encode(secret)
            self.state = state
        }

        /// `nil` if the text is not the text of a key.
        package var secretBytes: [UInt8]? {
            Base64URL.decode(secret).flatMap { $0.count == MAC.byteCount ? $0 : nil }
        }
    }

    package var linkTTLSeconds: Int64
    /// As in the heartbeat.
    package var keysVersion: String
    package var keys: [Key]

    package init(linkTTLSeconds: Int64, keysVersion: String, keys: [Key]) {
        self.linkTTLSeconds = linkTTLSeconds
        self.keysVersion = keysVersion
        self.keys = keys
    }

    private enum CodingKeys: String, CodingKey {
        case linkTTLSeconds = "link_ttl_seconds"
        case keysVersion = "keys_version"
        case keys
    }
}

extension KeysAnswer.Key: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(state) key \(id) [secret redacted]" }
    package var customMirror: Mirror { Mirror(self, children: ["id": id, "state": state]) }
}
