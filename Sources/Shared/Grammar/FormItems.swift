// SPDX-License-Identifier: Apache-2.0

/// A query string, decoded as `application/x-www-form-urlencoded`; order and duplicates are kept.
package struct FormItems: Sendable {
    package enum Failure: Error { case tooMany, badEncoding }

    package let items: [(name: String, value: String)]

    /// - Parameter countMax: More items than this are refused.
    package init(_ text: Substring?, countMax: Int = 256) throws(Failure) {
        var items: [(name: String, value: String)] = []
        for pair in (text ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            guard items.count < countMax else { throw .tooMany }
            let mark = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let value = mark == pair.endIndex ? pair[mark...] : pair[pair.index(after: mark)...]
            guard let name = Self.decoded(pair[..<mark]), let value = Self.decoded(value) else { throw .badEncoding }
            items.append((name, value))
        }
        self.items = items
    }

    package var names: [String] { items.map(\.name) }

    package func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    /// The value of an item that may come at most once; `nil` if it is absent or repeated.
    package func only(_ name: String) -> String? {
        let values = all(name)
        return values.count == 1 ? values[0] : nil
    }

    /// A value as it stands in a query: unreserved characters as they are (RFC 3986 §2.3), all others by their bytes.
    /// - Parameter others: Further ASCII characters that stand as they are.
    package static func encoded(_ value: String, keeping others: String = "") -> String {
        var text = ""
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            case _ where others.utf8.contains(byte): text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                text += byte < 16 ? "%0" : "%"
                text += String(byte, radix: 16, uppercase: true)
            }
        }
        return text
    }

    private static func decoded(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"):
                bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(nibble), let low = rest.popFirst().flatMap(nibble) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default:
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
