// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Grammar
import Hashing
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// The catalogue of bad input, row by row: `Tests/IntegrationTests/BadInput`.
    @Suite("Bad input", .everyProcessLives)
    struct BadInput {
        /// Rows of the catalogue by their letter: routing, names, tags, digests, uploads, blobs, manifests, lists,
        /// authorization, links at an edge, hostile parents. Row 0 of a letter is a control that is accepted.
        static let rowCounts = [
            "R": 12, "N": 31, "T": 12, "D": 18, "U": 39, "B": 24, "M": 61, "L": 18, "A": 42, "E": 39, "X": 30,
        ]
        static let cases = ((try? BadInputFile.all.get()) ?? []).filter { !$0.exchanges.isEmpty }
        static let trap = Result { try EgressTrap() }

        let system: System

        init() throws { system = try System() }

        private func run(_ badCase: BadInputCase) async throws -> BadInputRun {
            var run = BadInputRun(badCase, system: system, trap: try Self.trap.get())
            try await run.perform()
            return run
        }

        @Test("each row of the catalogue is there once; what another test covers is covered, and that test exists")
        func catalogue() throws {
            let cases = try BadInputFile.all.get()
            let expected = Self.rowCounts.flatMap { letter, count in (1...count).map { "\(letter)\($0)" } }
            let rows = cases.flatMap(\.rows).filter { !$0.hasSuffix("0") || $0.dropFirst() != "0" }
            #expect(Set(rows) == Set(expected))
            #expect(Set(rows).count == rows.count)
            let sources = try Self.testSources()
            for badCase in cases {
                for note in badCase.notes {
                    switch note {
                    case .coveredBy(let title), .also(let title):
                        #expect(sources.contains("\"\(title)\""), "\(badCase.name)")
                    case .later: break
                    }
                }
                let isElsewhere = badCase.notes.contains { if case .also = $0 { false } else { true } }
                #expect(badCase.exchanges.isEmpty == isElsewhere, "\(badCase.name)")
            }
        }

        private static func testSources() throws -> String {
            let folder = "\(RunningStack.repository)/Tests"
            let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
            return try names.filter { $0.hasSuffix(".swift") }.map {
                try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8)
            }.joined(separator: "\n")
        }

        @Test("bad input is answered as the catalogue says, and the connection is left in order", arguments: cases)
        func answers(badCase: BadInputCase) async throws {
            let run = try await run(badCase)
            for problem in run.problems { Issue.record("\(problem)") }
            // On a machine that does nothing else none takes a second; five are an error in any case.
            for slow in run.slowAnswers { Issue.record("\(slow)", severity: .warning) }
        }

        @Test("the whole catalogue leaves the memory of origin and edges as it was", arguments: [false, true])
        func memory(isLarge: Bool) async throws {
            let programs = [system.description.originPid] + system.edges.map(\.pid)
            func residentBytesNow() throws -> Int {
                try programs.reduce(0) { try $0 + ObservedProcess($1).residentBytes() }
            }
            let cases = Self.cases.filter { $0.isLarge == isLarge }
            let (warmUpCount, roundCount) = isLarge ? (3, 3) : (2, 1)
            var residentBytes: [Int] = []
            // Caches and pools grow at first; with bodies of megabytes so does what the heap keeps for the next.
            for _ in 0..<warmUpCount + roundCount {
                for badCase in cases { _ = try await run(badCase) }
                residentBytes.append(try residentBytesNow())
            }
            let limitBytes = (residentBytes[..<warmUpCount].max() ?? 0) + (isLarge ? 32 : 4) * .mebibyte
            do {
                // What a client left behind that went away in the middle is kept for two seconds.
                try await waitUntil("memory is as it was", within: .seconds(10)) {
                    try residentBytesNow() <= limitBytes
                }
            } catch is NotInTime {
                Issue.record("resident after each round: \(residentBytes); now: \(try residentBytesNow())")
            }
        }

        @Test("an unknown user and a wrong password take the same time")
        func timing() async throws {
            // A difference that is there is there in each round; one that comes from the machine is not.
            var differences: [Double] = []
            for round in 1...8 {
                var times: [String: [Duration]] = [:]
                for sample in 0..<100 {
                    // From addresses of their own: the answers to many failures of one are held back.
                    let connection = try HTTPConnection(to: system.origin, from: "127.77.\(round).\(sample + 1)")
                    for user in ["nobody", "x-token"] {
                        let request = HTTPRequest(
                            "GET", "/v2/",
                            headers: Credential.basic("\(user):\(Self.unknownToken())").headers(of: system.description))
                        let start = ContinuousClock.now
                        let answer = try await connection.answer(to: request)
                        times[user, default: []].append(ContinuousClock.now - start)
                        #expect(answer.status == 401)
                    }
                }
                let medians = ["nobody", "x-token"].map { user in times[user, default: []].sorted()[50] }
                differences.append(abs(medians[0] / medians[1] - 1))
                if differences.contains(where: { $0 < 0.02 }) { return }
            }
            Issue.record("in each of eight rounds the medians differ by more than 2 %: \(differences)")
        }

        /// The text of a token that nobody was given: it has the right form, so that it is looked for.
        private static func unknownToken() -> String {
            let body = "dpo_" + Base64URL.encode(TestBlob.random(32))
            return body + Base64URL.encode(SHA256.hash(Array(body.utf8)).bytes).prefix(6)
        }
    }
}

extension Integration {
    @Suite("A disk that is nearly full")
    struct DiskReserve {
        @Test("below the disk reserve an upload is 507 at its POST, and the rest goes on")
        func reserve() async throws {
            try await withOwnStack(edges: 1) { stack in
                let before = try System(stack).repository("reserve")
                let blob = try await before.pushedBlob(sizeBytes: 1000)
                let image = TestManifest.image(config: blob, layers: [])
                let upload = try await before.startUpload()
                try await ObservedProcess(stack.description.originPid).killNow()
                try await stack.up(environment: ["DEPOT_DISK_RESERVE_BYTES": "1000000TiB"])

                let repository = try System(stack).repository("reserve")
                for query in ["", "?digest=\(TestBlob(sizeBytes: 10).digest)"] {
                    let refused = try await repository.ask("POST", "blobs/uploads/\(query)")
                    #expect(refused.status == 507)
                    #expect(refused.codes.isEmpty && refused.text.contains("request id"), "plain text: \(refused.text)")
                }
                #expect(try await repository.ask("PATCH", upload, body: [1, 2, 3]).status == 507)
                #expect(try await repository.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
                #expect(try await repository.push(image, as: "latest").status == 201)
                #expect(try await repository.ask("DELETE", "manifests/\(image.digest)").status == 202)
                #expect(try await repository.ask("DELETE", "blobs/\(blob.digest)").status == 202)
            }
        }
    }
}

extension BadInputCase: CustomTestStringConvertible {
    var testDescription: String { name }

    /// Whether it sends megabytes.
    fileprivate var isLarge: Bool {
        exchanges.contains { exchange in
            (exchange.head + [exchange.body]).contains { text in
                text.contains("{descriptors:") || text.contains(/\{repeat:[^}]*:\d{6,}\}/)
            }
        }
    }
}

extension ObservedProcess {
    /// VmRSS: what is resident now.
    fileprivate func residentBytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return try #require(line?.split(separator: " ").compactMap { Int($0) }.first) * 1024
    }
}

/// Performs the requests of one case and notes what is not as expected.
private struct BadInputRun {
    /// Of an error. Nothing else is ever told.
    private static let ociCodes = Set(OCIErrorCode.allCases.map(\.rawValue))
    /// What only the inside knows: paths, SQL, names of types.
    private static let internals = [
        "/home", "/root", "/tmp", "/var/", "/work", ".swift", "Swift.", "SELECT ", "INSERT ", "SQL", "Error(", "kind:",
        "NIO", "Hummingbird", "Optional(", "errno",
    ]
    private static let answerLimit = Duration.seconds(5)

    private struct Shape: Equatable {
        let status: Int
        let headerNames: [String]
        let bodyBytes: Int
    }

    private let badCase: BadInputCase
    private let system: System
    private let fixture: BadInputFixture
    private var firstShape: Shape?
    private(set) var problems: [String] = []
    private(set) var slowAnswers: [String] = []

    init(_ badCase: BadInputCase, system: System, trap: EgressTrap) {
        self.badCase = badCase
        self.system = system
        fixture = BadInputFixture(system: system, trap: trap)
    }

    mutating func perform() async throws {
        for (index, exchange) in badCase.exchanges.enumerated() {
            for problem in try await problems(of: exchange) {
                problems.append("request \(index + 1), \(exchange.head.first?.prefix(100) ?? ""): \(problem)")
            }
        }
        for pid in [system.description.originPid] + system.edges.map(\.pid) where !ObservedProcess(pid).isAlive {
            problems.append("process \(pid) has ended")
        }
        if fixture.trap.wasCalled { problems.append("the origin has called an address that it was given") }
    }

    private mutating func problems(of exchange: BadInputExchange) async throws -> [String] {
        let request = try await Request(exchange, fixture)
        let endpoint = exchange.isForEdge ? try await fixture.madeLinks().endpoint : system.origin
        let connection = try HTTPConnection(to: endpoint, limit: .seconds(8))
        let start = ContinuousClock.now
        let isWhollySent = try await request.send(on: connection)
        if exchange.finishesSending { await connection.finishSending() }
        let answer: Answer
        do {
            answer = try await connection.readAnswer(to: exchange.method)
        } catch is HTTPConnection.NotHTTP {
            return exchange.statuses.contains(nil) ? [] : ["the connection ended without an answer"]
        } catch DeadlineSocket.Failure.timedOut {
            return ["no answer"]
        }
        let time = ContinuousClock.now - start
        if time > .seconds(1) { slowAnswers.append("\(badCase.name): answered after \(time)") }
        return (time > Self.answerLimit ? ["answered after \(time)"] : [])
            + statusProblems(exchange, answer)
            + (try await contentProblems(exchange, answer, request))
            + (try await problems(after: exchange, connection, isWhollySent))
    }

    private func statusProblems(_ exchange: BadInputExchange, _ answer: Answer) -> [String] {
        var problems: [String] = []
        if !exchange.statuses.contains(answer.status) { problems.append("status \(answer.status)") }
        if answer.ending != .complete { problems.append("an answer that ended early") }
        guard answer.status >= 400 else { return problems }
        // A list of missing digests can have megabytes, all alike.
        let text = String(decoding: answer.body.prefix(64 * .kibibyte), as: UTF8.self)
        for word in Self.internals where text.contains(word) {
            problems.append("\(word) in the answer: \(text.prefix(200))")
        }
        guard exchange.method != "HEAD" else { return problems }
        let codes = Set(answer.codes)
        let isDocument = answer["content-type"] == "application/json"
        if isDocument, codes.isEmpty || !codes.isSubset(of: Self.ociCodes) {
            problems.append("no OCI error document: \(text.prefix(200))")
        } else if isDocument, !exchange.codes.contains("any"), !codes.isSubset(of: exchange.codes) {
            problems.append("codes \(codes.sorted())")
        } else if !isDocument, !exchange.codes.contains("plain") {
            problems.append("no OCI error document: \(text.prefix(200))")
        }
        return problems
    }

    private mutating func contentProblems(
        _ exchange: BadInputExchange, _ answer: Answer, _ request: Request
    ) async throws -> [String] {
        var problems: [String] = []
        for (name, pattern) in exchange.headers {
            let values = answer.head.headers.filter { $0.name == name.lowercased() }.map(\.value)
            guard values.count == 1 else {
                problems.append("\(values.count) times \(name)")
                continue
            }
            if try await !BadInputText.matches(pattern, Array(values[0].utf8), value: request.value) {
                problems.append("\(name): \(values[0])")
            }
        }
        for name in exchange.absentHeaders where answer[name] != nil { problems.append("\(name) is there") }
        if let pattern = exchange.bodyPattern,
            try await !BadInputText.matches(pattern, answer.body, value: request.value)
        {
            problems.append("body \(answer.text.prefix(200))")
        }
        if exchange.echoesBody, answer.body != fixture.sentBody { problems.append("another body than the one sent") }
        let shape = Shape(
            status: answer.status, headerNames: answer.head.headers.map(\.name), bodyBytes: answer.bodyBytes)
        if exchange.hasShapeOfFirst, shape != firstShape {
            problems.append("\(shape) differs from the first, \(firstShape.map { "\($0)" } ?? "-")")
        }
        if firstShape == nil { firstShape = shape }
        return problems
    }

    /// Whether the connection is closed, or in step: the next request on it gets its own answer.
    private func problems(
        after exchange: BadInputExchange, _ connection: HTTPConnection, _ isWhollySent: Bool
    ) async throws -> [String] {
        let afterwards = exchange.afterwards
        do {
            switch afterwards {
            case .closed:
                _ = try await connection.readHead()
                return ["another answer came where the connection should end"]
            case .usable, .either:
                guard isWhollySent else { return afterwards == .either ? [] : ["answered before it was asked"] }
                if exchange.isForEdge {
                    let next = try await fixture.madeLinks().probe
                    let answer = try await connection.answer(to: next)
                    return answer.status == 206 && answer.bodyBytes == 1 ? [] : ["the next answer is \(answer.status)"]
                }
                let next = HTTPRequest("/v2/", headers: Credential.organization.headers(of: system.description))
                let answer = try await connection.answer(to: next)
                return answer.status == 200 && answer.text == "{}" ? [] : ["the next answer is \(answer.status)"]
            }
        } catch is HTTPConnection.NotHTTP {
            return afterwards == .usable ? ["the connection was closed"] : []
        } catch DeadlineSocket.Failure.timedOut {
            return [afterwards == .closed ? "the connection stays open" : "the next request has no answer"]
        }
    }

    /// The bytes of a request, and what names in its answer's patterns stand for.
    private struct Request {
        private static let partBytes = 64 * Int.kibibyte

        let bytes: [UInt8]
        let value: (String) async throws -> [UInt8]

        init(_ exchange: BadInputExchange, _ fixture: BadInputFixture) async throws {
            var own = try await Self.token(exchange.tokenDirectives, fixture)
            let body = try await BadInputText.bytes(of: exchange.body) { try await fixture.value(of: $0) }
            if !body.isEmpty { fixture.sentBody = body }
            own["length"] = "\(body.count)"
            let values = own
            value = { name in
                if let own = values[name] { return Array(own.utf8) }
                return try await fixture.value(of: name)
            }
            var bytes: [UInt8] = []
            for line in exchange.head { bytes += try await BadInputText.bytes(of: line, value: value) + [0x0D, 0x0A] }
            self.bytes = bytes + [0x0D, 0x0A] + body
        }

        /// `jwt` and `kid`, if the case makes a token.
        private static func token(_ directives: [String], _ fixture: BadInputFixture) async throws -> [String: String] {
            var token: ForgedToken?
            for directive in directives {
                let words = directive.split(separator: " ", maxSplits: 1).map(String.init)
                let keyID = token.map { Array($0.keyID.utf8) }
                let text = try await BadInputText.bytes(of: words[1]) { name in
                    if name == "kid", let keyID { keyID } else { try await fixture.value(of: name) }
                }
                if words[0] == "token" {
                    token = try ForgedToken(
                        genuine: await genuineToken(String(decoding: text, as: UTF8.self), fixture.system))
                } else {
                    try token?.apply(words[0], String(decoding: text, as: UTF8.self))
                }
            }
            guard let token else { return [:] }
            return ["jwt": try token.text(), "kid": token.keyID]
        }

        /// - Parameter text: A scope, and perhaps ` for ` and a host.
        private static func genuineToken(_ text: String, _ system: System) async throws -> String {
            let parts = text.components(separatedBy: " for ")
            let service = parts.count > 1 ? parts[1] : system.origin.authority
            let answer = try await system.repository("any").ask("GET", "/token?service=\(service)&scope=\(parts[0])")
            try #require(answer.status == 200, "\(answer.text)")
            return try #require(answer.json?["token"]?.stringValue)
        }

        /// As clients do: sends, and looks for an answer meanwhile.
        /// - Returns: Whether all of it was sent.
        func send(on connection: HTTPConnection) async throws -> Bool {
            for start in stride(from: 0, to: bytes.count, by: Self.partBytes) {
                if start > 0, await connection.hasInput { return false }
                do {
                    try await connection.send(Array(bytes[start..<min(start + Self.partBytes, bytes.count)]))
                } catch DeadlineSocket.Failure.closed {
                    return false
                }
            }
            return true
        }
    }
}
