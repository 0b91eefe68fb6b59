// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A configuration file: `KEY=VALUE` lines with the names of the environment variables, `#` comments, blank lines.
///
/// systemd's `EnvironmentFile=` and `docker --env-file` read the same file, so names of other programs are allowed in
/// it. Unlike them, a line that is neither is an error, and so is a name given twice. A value in matching quotes loses
/// them; there are no escapes.
struct ConfigFile {
    private static let bytesMax = 1 << 20

    let path: String
    let values: [String: String]
    /// The line of each key, from 1.
    let lines: [String: Int]

    init(path: String) throws(SettingsError) {
        try self.init(path: path, bytes: Self.read(path))
    }

    init(path: String, bytes: [UInt8]) throws(SettingsError) {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError(problems: ["\(path): not UTF-8"])
        }
        var values: [String: String] = [:]
        var lines: [String: Int] = [:]
        var problems: [String] = []
        let rows = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        for (index, row) in rows.enumerated() {
            let line = Self.trimmed(row)
            if line.isEmpty || line.hasPrefix("#") { continue }
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(Self.trimmed(parts[0]))
            guard parts.count == 2, Self.isKey(key) else {
                // The line is not shown: it may be a secret that slipped out of its place.
                problems.append("\(path), line \(index + 1): expected KEY=VALUE or a # comment")
                continue
            }
            if let first = lines[key] {
                problems.append("\(path), line \(index + 1): \(key) is already set in line \(first)")
                continue
            }
            lines[key] = index + 1
            values[key] = Self.unquoted(Self.trimmed(parts[1]))
        }
        if !problems.isEmpty { throw SettingsError(problems: problems) }
        self.path = path
        self.values = values
        self.lines = lines
    }

    private static func read(_ path: String) throws(SettingsError) -> [UInt8] {
        func failure(_ code: Int32) -> SettingsError {
            let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
            return SettingsError(problems: ["\(path) (configuration file): \(reason)"])
        }
        guard let file = fopen(path, "re") else { throw failure(errno) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        if ferror(file) != 0 { throw failure(errno) }
        if count > bytesMax { throw failure(EFBIG) }
        return Array(bytes.prefix(count))
    }

    private static func isKey(_ text: String) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
            default: false
            }
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }

    private static func unquoted(_ text: Substring) -> String {
        if text.count >= 2, let quote = text.first, quote == text.last, quote == "\"" || quote == "'" {
            return String(text.dropFirst().dropLast())
        }
        return String(text)
    }
}
