// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A file of the repository.
struct SourceFile: Sendable, CustomTestStringConvertible, CustomStringConvertible {
    /// Relative to the repository, such as `Sources/Edge/Cache/BlobCache.swift`.
    let path: String
    let lines: [String]
    /// The lines without comments and the content of one-line string literals, numbered from 1.
    ///
    /// Good enough for rules on words: a raw or multi-line string keeps its text.
    let code: [(number: Int, text: String)]

    init(path: String, text: String) {
        self.path = path
        lines = text.components(separatedBy: "\n")
        code = path.hasSuffix(".swift") ? lines.enumerated().map { ($0.offset + 1, Self.strip($0.element)) } : []
    }

    var description: String { path }
    var testDescription: String { path }

    var name: String { String(path.split(separator: "/").last ?? "") }

    private static func strip(_ line: String) -> String {
        guard line.utf8.contains(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "/") }) else { return line }
        var result: [UInt8] = []
        var isInString = false
        var previous: UInt8 = 0
        for byte in line.utf8 {
            if byte == UInt8(ascii: "\""), previous != UInt8(ascii: "\\") { isInString.toggle() }
            if !isInString, byte == UInt8(ascii: "/"), previous == byte {
                return String(decoding: result.dropLast(), as: UTF8.self)
            }
            if !isInString || byte == UInt8(ascii: "\"") { result.append(byte) }
            previous = byte
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The modules that the file imports, whatever stands before `import`.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), position + 1 < words.count,
                words[..<position].allSatisfy({
                    ["package", "internal", "private", "public", "@preconcurrency"].contains($0)
                })
            else { return nil }
            let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
            let name = kinds.contains(String(words[position + 1])) ? words.last : words[position + 1]
            return name.map { String($0.prefix { $0 != "." }) }
        }
    }
}

/// The checkout that the tests were built from.
enum SourceTree {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    static let swiftSources = files(below: "Sources", withSuffixes: [".swift"])
    static let swiftTests = files(below: "Tests", withSuffixes: [".swift"])
    static let swift = swiftSources + swiftTests

    /// Everything that people wrote: sources, tests, scripts, pages, configuration.
    static let everything =
        ["Sources", "Tests", "Scripts", "Deploy", "Benchmarks", "Docs", ".ci", "README.md", "Package.swift"].flatMap {
            files(below: $0, withSuffixes: nil)
        }

    private static func files(below folder: String, withSuffixes suffixes: [String]?) -> [SourceFile] {
        let top = "\(root)/\(folder)"
        let names = (FileManager.default.enumerator(atPath: top)?.compactMap { $0 as? String } ?? []).sorted()
        let paths = names.isEmpty ? [folder] : names.map { "\(folder)/\($0)" }
        return paths.compactMap { path in
            guard suffixes?.contains(where: path.hasSuffix) ?? true, !path.contains("__pycache__"),
                !path.hasPrefix("Tests/Fuzz/Corpus/"),
                let text = try? String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
            else { return nil }
            return SourceFile(path: path, text: text)
        }
    }
}
