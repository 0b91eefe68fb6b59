// SPDX-License-Identifier: Apache-2.0

/// Name of a repository within its organization (distribution-spec 1.1, "Pulling manifests"):
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`, at most 255 bytes.
package struct RepositoryName: Hashable, Sendable, CustomStringConvertible {
    package static let textBytesMax = 255

    package let text: String

    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.textBytesMax, Self.isValid(text.utf8) else { return nil }
        self.text = String(text)
    }

    package var description: String { text }

    /// What the bytes since the last letter or digit are.
    private enum Separator { case none, start, dot, underscore, twoUnderscores, dashes }

    private static func isValid(_ bytes: some Sequence<UInt8>) -> Bool {
        var separator = Separator.start
        for byte in bytes {
            switch (byte, separator) {
            case (_, _) where byte.isLowerAlphanumeric: separator = .none
            case (UInt8(ascii: "/"), .none): separator = .start
            case (UInt8(ascii: "."), .none): separator = .dot
            case (UInt8(ascii: "_"), .none): separator = .underscore
            case (UInt8(ascii: "_"), .underscore): separator = .twoUnderscores
            case (UInt8(ascii: "-"), .none), (UInt8(ascii: "-"), .dashes): separator = .dashes
            default: return false
            }
        }
        return separator == .none
    }
}
