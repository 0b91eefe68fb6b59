// SPDX-License-Identifier: Apache-2.0

/// Bounds of a JSON text from outside.
package struct JSONLimits: Sendable {
    package var bytesMax: Int
    /// Arrays and objects inside one another.
    package var depthMax: Int
    /// Values in the whole text, containers included. Each takes some 50 bytes of memory.
    package var valueCountMax: Int

    package init(bytesMax: Int, depthMax: Int = 64, valueCountMax: Int = 1 << 18) {
        self.bytesMax = bytesMax
        self.depthMax = depthMax
        self.valueCountMax = valueCountMax
    }
}

/// Why a JSON text is refused, and where.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        case tooLarge, tooDeep, tooManyValues
        case notUTF8, syntax, trailingBytes, loneSurrogate, zeroCharacter
        case duplicateName, caseVariantName
    }

    package let kind: Kind
    /// Bytes from the start of the text.
    package let offset: Int

    package var description: String {
        switch kind {
        case .tooLarge: "the JSON text is too large"
        case .tooDeep: "the JSON text is nested too deeply at byte \(offset)"
        case .tooManyValues: "the JSON text has too many values"
        case .notUTF8: "the JSON text is not UTF-8 without a byte order mark"
        case .syntax: "the JSON text is malformed at byte \(offset)"
        case .trailingBytes: "the JSON text goes on after its end at byte \(offset)"
        case .loneSurrogate: "a string has half a surrogate pair at byte \(offset)"
        case .zeroCharacter: "a string has the character U+0000 at byte \(offset)"
        case .duplicateName: "an object has the same name twice at byte \(offset)"
        case .caseVariantName: "an object has names that differ only in case at byte \(offset)"
        }
    }
}
