// SPDX-License-Identifier: Apache-2.0

/// Names one request in logs and in answers of both programs, and travels from edge to origin.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
    /// Longer ones from outside are refused.
    private static let characterCountMax = 64

    package let description: String

    /// A new one: 16 random hexadecimal digits.
    package init() {
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        description = String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// One that a client or a proxy sent.
    /// - Returns: `nil` unless it is 1 to 64 of `[A-Za-z0-9-]`, which is safe in any log and header.
    package init?(_ text: some StringProtocol) {
        guard (1...Self.characterCountMax).contains(text.utf8.count), text.utf8.allSatisfy(Self.isAllowed) else {
            return nil
        }
        description = String(text)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }
}
