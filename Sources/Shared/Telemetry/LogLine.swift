// SPDX-License-Identifier: Apache-2.0

import Logging

/// How log lines look.
package enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object per line, for collectors.
    case json
    /// `time level message key=value …`, for people.
    case text
}

/// One log line under construction. A pure value: the time comes in, the bytes go out.
///
/// Whatever a field holds, the result is one line that a terminal shows without obeying it: control characters are
/// escaped, and values are cut at 4 KiB.
struct LogLine {
    private static let valueBytesMax = 4096
    /// Names that every JSON line uses; metadata of the same name gets a prefix, for a key may occur only once.
    private static let reservedKeys: Set<String> = ["time", "level", "program", "message"]

    private let format: LogFormat
    private(set) var bytes: [UInt8] = []

    init(_ format: LogFormat, time: Timestamp, level: Logger.Level, program: String, message: String) {
        self.format = format
        bytes.reserveCapacity(256)
        switch format {
        case .json:
            bytes += #"{"time":""#.utf8
            time.append(to: &bytes)
            bytes += #"","level":""#.utf8
            bytes += level.rawValue.utf8
            bytes += #"","program":"#.utf8
            appendJSONString(program)
            bytes += #","message":"#.utf8
            appendJSONString(message)
        case .text:
            time.append(to: &bytes)
            bytes.append(UInt8(ascii: " "))
            bytes += level.rawValue.utf8
            bytes.append(UInt8(ascii: " "))
            appendEscaped(message, asJSON: false)
        }
    }

    mutating func append(_ key: String, _ value: Logger.MetadataValue) {
        beginField(key)
        switch format {
        case .json: appendJSON(value)
        case .text:
            switch value {
            case .string(let text): appendText(text)
            case .stringConvertible(let value): appendText(value.description)
            case .array, .dictionary: appendText(value.description)
            }
        }
    }

    mutating func append(_ key: String, _ value: String) {
        beginField(key)
        switch format {
        case .json: appendJSONString(value)
        case .text: appendText(value)
        }
    }

    mutating func append(_ key: String, _ value: some BinaryInteger) {
        beginField(key)
        bytes += value.description.utf8
    }

    /// Ends the line.
    mutating func finish() {
        if format == .json { bytes.append(UInt8(ascii: "}")) }
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func beginField(_ key: String) {
        switch format {
        case .json:
            bytes.append(UInt8(ascii: ","))
            appendJSONString(Self.reservedKeys.contains(key) ? "metadata.\(key)" : key)
            bytes.append(UInt8(ascii: ":"))
        case .text:
            bytes.append(UInt8(ascii: " "))
            appendText(key)
            bytes.append(UInt8(ascii: "="))
        }
    }

    private mutating func appendJSON(_ value: Logger.MetadataValue) {
        switch value {
        case .string(let text): appendJSONString(text)
        case .stringConvertible(let value):
            // Numbers and booleans stay what they are, so that collectors can sum and compare them.
            switch value {
            case let number as any BinaryInteger: bytes += number.description.utf8
            case let number as Double where number.isFinite: bytes += number.description.utf8
            case let flag as Bool: bytes += flag.description.utf8
            default: appendJSONString(value.description)
            }
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                appendJSON(value)
            }
            bytes.append(UInt8(ascii: "]"))
        case .dictionary(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                appendJSONString(member.key)
                bytes.append(UInt8(ascii: ":"))
                appendJSON(member.value)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    private mutating func appendJSONString(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text, asJSON: true)
        bytes.append(UInt8(ascii: "\""))
    }

    /// Bare if it is one word, else in quotes.
    private mutating func appendText(_ text: String) {
        let isWord = text.utf8.allSatisfy { byte in
            byte > UInt8(ascii: " ") && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "=")
        }
        if isWord && !text.isEmpty { return appendEscaped(text, asJSON: false) }
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text, asJSON: true)
        bytes.append(UInt8(ascii: "\""))
    }

    /// - Parameter asJSON: Whether the text stands in quotes: quotes and backslashes are then escaped, too.
    private mutating func appendEscaped(_ text: String, asJSON: Bool) {
        // Nearly all of what is logged, and an edge logs tens of thousands of lines a second.
        if text.utf8.count <= Self.valueBytesMax && text.utf8.allSatisfy({ Self.isPlain($0, asJSON: asJSON) }) {
            bytes += text.utf8
            return
        }
        let endCount = bytes.count + Self.valueBytesMax
        for scalar in text.unicodeScalars {
            if bytes.count >= endCount {
                bytes += "…".utf8
                return
            }
            switch scalar {
            case "\n": bytes += #"\n"#.utf8
            case "\r": bytes += #"\r"#.utf8
            case "\t": bytes += #"\t"#.utf8
            case "\"" where asJSON: bytes += #"\""#.utf8
            case "\\" where asJSON: bytes += #"\\"#.utf8
            // C0, DEL and C1 steer terminals; the two separators end a line in some readers; the rest reorder text.
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}"..."\u{202E}", "\u{2066}"..."\u{2069}":
                let digits = String(scalar.value, radix: 16)
                bytes += #"\u"#.utf8
                bytes += String(repeating: "0", count: 4 - digits.utf8.count).utf8
                bytes += digits.utf8
            default: if let encoded = UTF8.encode(scalar) { bytes.append(contentsOf: encoded) }
            }
        }
    }

    /// Printable ASCII that means nothing to its surroundings.
    private static func isPlain(_ byte: UInt8, asJSON: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): !asJSON
        case 0x20..<0x7f: true
        default: false
        }
    }
}
