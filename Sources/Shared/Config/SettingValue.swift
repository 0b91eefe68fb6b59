// SPDX-License-Identifier: Apache-2.0

/// A type that settings can have.
package protocol SettingValue: Sendable {
    /// What a valid text looks like, in words that follow "expected".
    static var settingForm: String { get }
    /// Whether error messages hide the text.
    static var isSecret: Bool { get }
    /// - Parameter settingText: Not empty, without control characters.
    init?(settingText: String)
}

extension SettingValue {
    package static var isSecret: Bool { false }
}

extension String: SettingValue {
    package static var settingForm: String { "a text" }
    package init?(settingText: String) { self = settingText }
}

extension Int: SettingValue {
    package static var settingForm: String { "a whole number" }
    package init?(settingText: String) { self.init(settingText) }
}

extension Bool: SettingValue {
    package static var settingForm: String { "true or false" }
    package init?(settingText: String) {
        switch settingText.lowercased() {
        case "true", "yes", "on", "1": self = true
        case "false", "no", "off", "0": self = false
        default: return nil
        }
    }
}

/// A number of bytes: `1048576`, `64KiB`, `64K`, `20GiB`, `1TiB`. All units are powers of 1024.
package struct ByteSize: SettingValue, Comparable, CustomStringConvertible {
    package static let settingForm = "a size such as 1048576, 512MiB, 20GiB or 1TiB"

    private static let units: [(suffix: String, bytes: Int64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10),
    ]

    package let bytes: Int64

    package init(bytes: Int64) { self.bytes = bytes }

    /// - Returns: `nil` unless it is digits with at most a unit, and fits into 63 bits.
    package init?(settingText: String) {
        let unit = Self.units.first { settingText.hasSuffix($0.suffix) }
        let digits = settingText.dropLast(unit?.suffix.count ?? 0)
        guard let count = Int64(digits: digits) else { return nil }
        let (bytes, isTooLarge) = count.multipliedReportingOverflow(by: unit?.bytes ?? 1)
        if isTooLarge { return nil }
        self.bytes = bytes
    }

    /// In the largest unit that divides it.
    package var description: String {
        guard bytes > 0, let unit = Self.units.first(where: { bytes % $0.bytes == 0 }) else { return "\(bytes)" }
        return "\(bytes / unit.bytes)\(unit.suffix)"
    }

    package static func < (left: ByteSize, right: ByteSize) -> Bool { left.bytes < right.bytes }
}

/// A span of time in whole seconds: `900`.
package struct Seconds: SettingValue, Comparable, CustomStringConvertible {
    package static let settingForm = "whole seconds, such as 900"
    /// A century: more is a slip of the finger, and arithmetic on instants stays far from overflow.
    private static let secondsMax: Int64 = 3_155_760_000

    package let duration: Duration

    package init(_ seconds: Int64) { duration = .seconds(seconds) }

    package init?(settingText: String) {
        guard let seconds = Int64(digits: settingText), seconds <= Self.secondsMax else { return nil }
        self.init(seconds)
    }

    package var description: String { "\(duration.components.seconds)" }

    package static func < (left: Seconds, right: Seconds) -> Bool { left.duration < right.duration }
}

/// Where to listen: `127.0.0.1:8080`, `[::1]:8080`, `localhost:0`. Port 0 lets the system choose.
package struct HostPort: SettingValue, Equatable, CustomStringConvertible {
    package static let settingForm = "HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"

    /// Without the brackets of IPv6.
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package init?(settingText: String) {
        guard
            let colon = settingText.lastIndex(of: ":"),
            let port = Int64(digits: settingText[settingText.index(after: colon)...]), port <= 65_535
        else { return nil }
        var host = settingText[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { return nil }
        } else if host.contains(where: { "[]:".contains($0) }) {
            return nil
        }
        if host.isEmpty || host.contains(where: { " /@?#".contains($0) }) { return nil }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Int64 {
    /// Decimal digits only: no sign, no space.
    fileprivate init?(digits: some StringProtocol) {
        guard digits.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) else { return nil }
        self.init(digits)
    }
}
