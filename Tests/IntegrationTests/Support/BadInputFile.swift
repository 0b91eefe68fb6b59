// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A case of the catalogue of bad input: what is sent, and what has to come back.
///
/// The files of `Tests/IntegrationTests/BadInput` hold them as text:
///
///     # A comment, anywhere between requests.
///     == U20 a chunk whose range is not its length
///     PATCH {upload} HTTP/1.1
///     Host: {host}
///     Content-Range: 0-9
///     Content-Length: {length}
///
///     0123456789X
///     => 400 SIZE_INVALID
///
/// - `==` begins a case: the rows of the catalogue that it covers, and a title. Instead of requests it may have
///   `later: REASON`, or `covered by: TITLE` of a test that covers it. `also: TITLE` names a test that says more.
/// - A request is everything up to its first `=>`. Lines of its head end with CR and LF, those of its body with LF,
///   except the last. `\xNN`, `\0`, `\r`, `\n`, `\t` and `\\` stand for bytes. A name in braces stands for a value:
///   `BadInputFixture` has the list.
/// - `@ edge` before a request: it goes to the edge that `{link}` leads to, not to the origin. `@ finish`: the client ends
///   its side behind it. Other lines with `@` make a registry token (`ForgedToken`).
/// - The first `=>` has the statuses allowed (`none`: no answer at all) and, for errors, the codes allowed: `any`
///   stands for each of the OCI codes, `plain` for a body that is no OCI document.
/// - Further `=>` lines: `NAME: PATTERN` is a header that comes exactly once; `not NAME` one that is absent;
///   `body: PATTERN`; `body: sent` is the body that was sent last; `same shape` is the status, header names and body
///   length of the case's first answer. `*` in a pattern stands for any text.
/// - Afterwards the connection has to be usable for another request, unless it says `closes`, or `may close`.
struct BadInputCase: Sendable {
    enum Note: Equatable {
        case later(String)
        case coveredBy(String)
        case also(String)
    }

    let rows: [String]
    let title: String
    fileprivate(set) var notes: [Note] = []
    fileprivate(set) var exchanges: [BadInputExchange] = []

    var name: String { "\(rows.joined(separator: " ")): \(title)" }
}

/// A request, and what is expected of its answer.
struct BadInputExchange: Sendable {
    enum Afterwards: Sendable { case usable, closed, either }

    fileprivate(set) var directives: [String] = []
    /// Request line and header lines.
    fileprivate(set) var head: [String] = []
    fileprivate(set) var body = ""

    /// `nil` stands for no answer.
    fileprivate(set) var statuses: [Int?] = []
    fileprivate(set) var codes: Set<String> = []
    fileprivate(set) var headers: [(name: String, pattern: String)] = []
    fileprivate(set) var absentHeaders: [String] = []
    fileprivate(set) var bodyPattern: String?
    fileprivate(set) var echoesBody = false
    fileprivate(set) var hasShapeOfFirst = false
    fileprivate(set) var afterwards = Afterwards.usable

    var method: String { String(head.first?.prefix { $0 != " " } ?? "") }
    var finishesSending: Bool { directives.contains("finish") }
    var isForEdge: Bool { directives.contains("edge") }
    var tokenDirectives: [String] { directives.filter { $0 != "finish" && $0 != "edge" } }
}

/// A file that is not written as it should be.
struct BadInputSyntaxError: Error, CustomStringConvertible {
    let description: String
}

/// Reads a file of cases, line by line.
struct BadInputFile {
    private enum State { case between, head, body, expectations }

    private let name: String
    private var state = State.between
    private var number = 0
    private(set) var cases: [BadInputCase] = []

    /// All files of the folder.
    static let all = Result {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "BadInput")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.sorted { $0.path < $1.path }.flatMap { file in
            try BadInputFile(
                name: file.lastPathComponent, text: String(contentsOf: file, encoding: .utf8)
            ).cases
        }
    }

    init(name: String, text: String) throws(BadInputSyntaxError) {
        self.name = name
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            number += 1
            try read(line)
        }
        for exchange in cases.flatMap(\.exchanges) where exchange.statuses.isEmpty {
            throw BadInputSyntaxError(description: "\(name): nothing is expected of \(exchange.head.first ?? "")")
        }
    }

    private func error(_ text: String) -> BadInputSyntaxError {
        BadInputSyntaxError(description: "\(name):\(number): \(text)")
    }

    private mutating func read(_ line: String) throws(BadInputSyntaxError) {
        switch state {
        case .between, .expectations:
            try readBetween(line)
        case .head where line.isEmpty:
            state = .body
        case .head:
            try changeExchange { $0.head.append(line) }
        case .body where line.hasPrefix("=> "):
            state = .expectations
            // Every line of the body brought its line feed along; the last one has none.
            try changeExchange { if !$0.body.isEmpty { $0.body.removeLast() } }
            try readStatus(line.dropFirst(3))
        case .body:
            try changeExchange { $0.body += line + "\n" }
        }
    }

    private mutating func readBetween(_ line: String) throws(BadInputSyntaxError) {
        if line.hasPrefix("#") { return }
        if line.isEmpty {
            state = .between
        } else if line.hasPrefix("== ") {
            state = .between
            let words = line.dropFirst(3).split(separator: " ")
            let rows = words.prefix { $0.first?.isUppercase == true && $0.dropFirst().allSatisfy(\.isNumber) }
            guard !rows.isEmpty, rows.count < words.count else { throw error("a case has rows and a title") }
            cases.append(
                BadInputCase(
                    rows: rows.map(String.init), title: words.dropFirst(rows.count).joined(separator: " ")))
        } else if state == .expectations {
            guard line.hasPrefix("=> ") else { throw error("an empty line ends what is expected") }
            try readExpectation(String(line.dropFirst(3)))
        } else {
            try readStart(line)
        }
    }

    /// A line of a case, outside of requests and answers.
    private mutating func readStart(_ line: String) throws(BadInputSyntaxError) {
        guard !cases.isEmpty else { throw error("no case has begun") }
        let notes: [(String, (String) -> BadInputCase.Note)] = [
            ("later: ", { .later($0) }), ("covered by: ", { .coveredBy($0) }), ("also: ", { .also($0) }),
        ]
        for (prefix, note) in notes where line.hasPrefix(prefix) {
            cases[cases.count - 1].notes.append(note(String(line.dropFirst(prefix.count))))
            return
        }
        let isNew = cases[cases.count - 1].exchanges.last?.statuses.isEmpty != true
        if isNew { cases[cases.count - 1].exchanges.append(BadInputExchange()) }
        if line.hasPrefix("@ ") {
            try changeExchange { $0.directives.append(String(line.dropFirst(2))) }
        } else {
            try changeExchange { $0.head.append(line) }
            state = .head
        }
    }

    private mutating func readStatus(_ text: Substring) throws(BadInputSyntaxError) {
        let words = text.split(separator: " ").map { $0.split(separator: "|").map(String.init) }
        guard (1...2).contains(words.count), words[0].allSatisfy({ $0 == "none" || Int($0) != nil }) else {
            throw error("the first line has statuses, and codes")
        }
        let statuses = words[0].map { Int($0) }
        let codes = words.count > 1 ? words[1] : []
        var isHead = false
        try changeExchange { exchange in
            exchange.statuses = statuses
            exchange.codes = Set(codes)
            isHead = exchange.method == "HEAD"
        }
        let isError = statuses.contains { $0.map { $0 >= 400 } ?? false }
        guard isError && !isHead || codes.isEmpty else { throw error("only errors with a body have codes") }
        guard !isError || isHead || !codes.isEmpty else { throw error("an error has codes") }
    }

    private mutating func readExpectation(_ text: String) throws(BadInputSyntaxError) {
        switch text {
        case "closes": try changeExchange { $0.afterwards = .closed }
        case "may close": try changeExchange { $0.afterwards = .either }
        case "same shape": try changeExchange { $0.hasShapeOfFirst = true }
        case "body: sent": try changeExchange { $0.echoesBody = true }
        case _ where text.hasPrefix("body: "): try changeExchange { $0.bodyPattern = String(text.dropFirst(6)) }
        case _ where text.hasPrefix("not "): try changeExchange { $0.absentHeaders.append(String(text.dropFirst(4))) }
        default:
            guard let colon = text.firstRange(of: ": ") else { throw error("nothing that can be expected") }
            let (name, pattern) = (String(text[..<colon.lowerBound]), String(text[colon.upperBound...]))
            try changeExchange { $0.headers.append((name, pattern)) }
        }
    }

    private mutating func changeExchange(_ change: (inout BadInputExchange) -> Void) throws(BadInputSyntaxError) {
        guard let last = cases.indices.last, let exchange = cases[last].exchanges.indices.last else {
            throw error("no request has begun")
        }
        change(&cases[last].exchanges[exchange])
    }
}

/// The text of a request or a pattern, taken apart.
enum BadInputText {
    private static let letters = UInt8(ascii: "a")...UInt8(ascii: "z")

    /// - Parameter value: What a name in braces stands for.
    static func bytes(
        of text: some StringProtocol, value: (String) async throws -> [UInt8]
    ) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\") {
                bytes.append(try escaped(&rest))
            } else if byte == UInt8(ascii: "{"),
                rest.first.map({ UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 }) == true,
                let end = rest.firstIndex(of: UInt8(ascii: "}"))
            {
                bytes += try await value(String(decoding: rest[..<end], as: UTF8.self))
                rest = rest[(end + 1)...]
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    /// Whether a text is that of a pattern, in which `*` stands for any text.
    static func matches(
        _ pattern: String, _ text: [UInt8], value: (String) async throws -> [UInt8]
    ) async throws -> Bool {
        var parts: [[UInt8]] = []
        for part in pattern.split(separator: "*", omittingEmptySubsequences: false) {
            parts.append(try await bytes(of: part, value: value))
        }
        guard parts.count > 1 else { return parts[0] == text }
        let first = parts.removeFirst()
        let last = parts.removeLast()
        guard text.starts(with: first) else { return false }
        var rest = text[first.count...]
        for part in parts where !part.isEmpty {
            guard let found = rest.firstRange(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return rest.count >= last.count && rest.suffix(last.count).elementsEqual(last)
    }

    /// What stands behind a backslash.
    private static func escaped(_ rest: inout ArraySlice<UInt8>) throws -> UInt8 {
        switch rest.popFirst() {
        case UInt8(ascii: "0"): return 0
        case UInt8(ascii: "r"): return UInt8(ascii: "\r")
        case UInt8(ascii: "n"): return UInt8(ascii: "\n")
        case UInt8(ascii: "t"): return UInt8(ascii: "\t")
        case UInt8(ascii: "\\"): return UInt8(ascii: "\\")
        case UInt8(ascii: "x"):
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            rest = rest.dropFirst(2)
            if let byte = UInt8(digits, radix: 16) { return byte }
        default: break
        }
        throw BadInputSyntaxError(description: "a backslash has to be escaped")
    }
}
