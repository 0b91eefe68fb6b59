// SPDX-License-Identifier: Apache-2.0

import Hashing

/// The opaque name of one stored blob: 32 lower-case hex digits, random, chosen before its first byte arrives.
///
/// A key says nothing about the content. The database maps digests to keys, so that a commit neither renames nor
/// copies, and a damaged blob is healed by pointing its digest at another key.
package struct BlobKey: Hashable, Sendable, CustomStringConvertible {
    package static let textBytes = 32

    package let text: String

    /// - Returns: `nil` unless `text` is a key as `random()` makes them; nothing else may become part of a path.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == Self.textBytes, text.utf8.allSatisfy(Self.isLowerHex) else { return nil }
        self.text = String(text)
    }

    private init(random bytes: [UInt8]) {
        text = Hex.encode(bytes)
    }

    package static func random() -> BlobKey { BlobKey(random: SecureRandom.bytes(textBytes / 2)) }

    package var description: String { text }

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
