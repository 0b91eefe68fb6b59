// SPDX-License-Identifier: Apache-2.0

/// Name of an organization: a DNS label in lower case (RFC 1123 §2.1), since it is part of a host name.
package struct OrganizationSlug: Hashable, Sendable, CustomStringConvertible {
    package static let textBytesMax = 63

    package let text: String

    package init?(_ text: some StringProtocol) {
        let bytes = text.utf8
        guard bytes.count <= Self.textBytesMax,
            let first = bytes.first, let last = text.utf8.reversed().first,
            first.isLowerAlphanumeric, last.isLowerAlphanumeric,
            bytes.allSatisfy({ $0.isLowerAlphanumeric || $0 == UInt8(ascii: "-") })
        else { return nil }
        self.text = String(text)
    }

    package var description: String { text }
}
