// SPDX-License-Identifier: Apache-2.0

/// A tag (distribution-spec 1.1, "Pulling manifests"): `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
package struct Tag: Hashable, Sendable, CustomStringConvertible {
    package static let textBytesMax = 128

    package let text: String

    package init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard bytes.count <= Self.textBytesMax, let first = bytes.first, Self.isWord(first),
            bytes.allSatisfy({ Self.isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = String(text)
    }

    package var description: String { text }

    /// `[a-zA-Z0-9_]`
    private static func isWord(_ byte: UInt8) -> Bool {
        byte.isAlphanumeric || byte == UInt8(ascii: "_")
    }
}
