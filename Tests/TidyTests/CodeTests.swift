// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Calls and words that do not belong into the code.
@Suite struct CodeTests {
    private struct Ban: Sendable {
        let call: String
        let reason: String
        var scope: [String] = ["Sources/", "Tests/"]
        var exceptions: [String] = []
    }

    private static let bans = [
        Ban(call: "try!", reason: "bad input, disks and peers are errors"),
        Ban(call: "as!", reason: "bad input is an error"),
        Ban(call: "fatalError(", reason: "a broken promise of our own is a precondition with a reason"),
        Ban(call: "Thread.sleep", reason: "wait on the event"),
        Ban(call: "usleep(", reason: "wait on the event", scope: ["Tests/"]),
        Ban(call: "Task.sleep", reason: "inject the clock", scope: ["Tests/"]),
        Ban(
            call: "print(", reason: "standard output belongs to results: log instead", scope: ["Sources/"],
            exceptions: ["Sources/Origin/Main/", "Sources/Origin/CommandLine/", "Sources/Edge/Main/"]),
        Ban(call: "import XCTest", reason: "Swift Testing only"),
        Ban(call: "@testable", reason: "tests use package symbols"),
        Ban(call: "DispatchQueue", reason: "blocking calls run on a named pool", scope: ["Sources/"]),
        Ban(call: "Task.detached", reason: "tasks are children of something that waits for them", scope: ["Sources/"]),
        Ban(call: "import FoundationNetworking", reason: "libcurl makes all outbound calls", scope: ["Sources/"]),
        Ban(call: ".disabled(", reason: "a check that is switched off is deleted"),
    ]

    @Test("no banned call", arguments: SourceTree.swift)
    func bannedCalls(file: SourceFile) {
        for ban in Self.bans where ban.scope.contains(where: file.path.hasPrefix) {
            guard !ban.exceptions.contains(where: file.path.hasPrefix) else { continue }
            for (number, text) in file.code where contains(text, ban.call) {
                Issue.record("\(file.path):\(number): \(ban.call): \(ban.reason)")
            }
        }
    }

    @Test("unchecked concurrency says what guards it", arguments: SourceTree.swift)
    func unchecked(file: SourceFile) {
        for (number, text) in file.code
        where text.contains("@unchecked Sendable") || text.contains("nonisolated(unsafe)") {
            let near = file.lines[max(0, number - 8)..<min(file.lines.count, number + 1)]
            #expect(near.contains { $0.contains("SAFETY:") }, "\(file.path):\(number): no SAFETY: comment")
        }
    }

    /// Whether the call stands there as a word of its own: `sprint(` is not `print(`.
    private func contains(_ text: String, _ call: String) -> Bool {
        guard let found = text.range(of: call) else { return false }
        guard let first = call.first, first.isLetter, found.lowerBound > text.startIndex else { return true }
        let before = text[text.index(before: found.lowerBound)]
        return !(before.isLetter || before.isNumber || before == "_" || before == ".")
    }
}

/// What every file looks like.
@Suite struct FileTests {
    private static let lineCountMax = 500
    /// Put together here, so that this file does not find itself.
    private static let leftovers = [
        "TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "not yet " + "implemented", "place" + "holder",
    ]

    private static let written = SourceTree.everything.filter {
        !$0.path.hasSuffix(".json") && !$0.path.hasSuffix(".svg")
    }

    @Test("the rules look at the whole tree")
    func tree() {
        #expect(SourceTree.swiftSources.count > 100 && SourceTree.swiftTests.count > 20)
    }

    @Test("code carries the licence in its first lines", arguments: written)
    func licence(file: SourceFile) {
        guard !file.path.hasSuffix(".md") else { return }
        let isMarked = file.lines.prefix(3).contains { $0.contains("SPDX-License-Identifier: Apache-2.0") }
        #expect(isMarked, "\(file): no SPDX line")
    }

    @Test("nothing is left for later", arguments: written)
    func leftovers(file: SourceFile) {
        for (number, line) in file.lines.enumerated() {
            for word in Self.leftovers where line.contains(word) {
                Issue.record("\(file.path):\(number + 1): \(word)")
            }
        }
    }

    @Test("files are short enough to read", arguments: SourceTree.swift)
    func length(file: SourceFile) {
        #expect(file.lines.count <= Self.lineCountMax, "\(file): \(file.lines.count) lines")
    }

    @Test("a Swift file is not empty", arguments: SourceTree.swift)
    func emptiness(file: SourceFile) {
        let code = file.code.map(\.text).filter { !$0.trimmingCharacters(in: .whitespaces).isEmpty }
        #expect(!code.isEmpty, "\(file) holds no code")
    }

    @Test("decisions are numbered without gaps, and the pages that code cites exist")
    func pages() {
        let names = SourceTree.everything.filter { $0.path.hasPrefix("Docs/decisions/") }.map(\.name)
        let numbers = names.compactMap { Int($0.prefix(4)) }.sorted()
        #expect(numbers == Array(1...max(numbers.count, 1)))
        let paths = Set(SourceTree.everything.map(\.path))
        for file in Self.written {
            for line in file.lines {
                var rest = line[...]
                while let found = rest.range(of: "Docs/") {
                    let page =
                        "Docs/" + rest[found.upperBound...].prefix { $0.isLetter || $0.isNumber || "-_/.".contains($0) }
                    rest = rest[found.upperBound...]
                    guard page.hasSuffix(".md") else { continue }
                    #expect(paths.contains(page), "\(file) cites \(page)")
                }
            }
        }
    }
}
