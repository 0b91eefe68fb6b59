// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Names one request in logs and in answers of both programs, and travels from edge to origin.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
    /// Longer ones from outside are refused.
    private static let characterCountMax = 64

    package let description: String

    /// A new one: 16 hexadecimal digits, unlike all others of this process and at random between processes. No secret:
    /// made without a system call, since each hit of an edge needs one.
    package init() {
        let number = Self.number(Self.count.wrappingAdd(1, ordering: .relaxed).newValue)
        description = String(unsafeUninitializedCapacity: 16) { digits in
            for index in 0..<16 {
                let digit = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * index)) & 15
                digits[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            }
            return 16
        }
    }

    private static let seed = UInt64.random(in: .min ... .max)
    private static let count = Atomic<UInt64>(0)

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): one number for each count.
    private static func number(_ count: UInt64) -> UInt64 {
        var number = seed &+ count &* 0x9E37_79B9_7F4A_7C15
        number = (number ^ (number >> 30)) &* 0xBF58_476D_1CE4_E5B9
        number = (number ^ (number >> 27)) &* 0x94D0_49BB_1331_11EB
        return number ^ (number >> 31)
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
