// SPDX-License-Identifier: Apache-2.0

extension UInt8 {
    /// `[0-9]`
    var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }
    /// `[a-z0-9]`
    var isLowerAlphanumeric: Bool { UInt8(ascii: "a")...UInt8(ascii: "z") ~= self || isDigit }
    /// `[a-zA-Z0-9]`
    var isAlphanumeric: Bool { isLowerAlphanumeric || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= self }
}
