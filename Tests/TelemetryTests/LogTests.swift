// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Synchronization
import Telemetry
import Testing

/// Collects lines.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var sink: LogSink {
        LogSink { line in self.lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    }

    var all: [String] { lines.withLock { $0 } }

    /// The lines as JSON objects, each proven to be exactly one line.
    func objects() throws -> [[String: any Sendable]] {
        try all.map { line in
            #expect(line.hasSuffix("\n") && line.dropLast().allSatisfy { !$0.isNewline })
            return try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: any Sendable])
        }
    }
}

@Suite("Log lines")
struct LogTests {
    private let lines = Lines()

    private func logger(_ format: LogFormat, _ level: Logger.Level = .trace) -> Logger {
        LogSetup.logger(format: format, level: level, program: "depot-edge", sink: lines.sink)
    }

    @Test("a JSON line holds time, level, program, message, and typed metadata")
    func json() throws {
        logger(.json).info(
            "fill ended",
            metadata: [
                "blob.digest": "sha256:00", "fill.bytes": .stringConvertible(7), "fill.ratio": .stringConvertible(0.5),
                "is.whole": .stringConvertible(true), "parents": ["a", "b"], "nested": ["k": "v"],
            ]
        )
        let object = try #require(try lines.objects().first)
        #expect(object["level"] as? String == "info")
        #expect(object["program"] as? String == "depot-edge")
        #expect(object["message"] as? String == "fill ended")
        #expect(object["blob.digest"] as? String == "sha256:00")
        #expect(object["fill.bytes"] as? Int == 7)
        #expect(object["fill.ratio"] as? Double == 0.5)
        #expect(object["is.whole"] as? Bool == true)
        #expect(object["parents"] as? [String] == ["a", "b"])
        #expect(object["nested"] as? [String: String] == ["k": "v"])
        let time = try #require(object["time"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
        let date = try Date(time, strategy: .iso8601.year().month().day().time(includingFractionalSeconds: true))
        #expect(abs(date.timeIntervalSinceNow) < 60)
    }

    @Test("a text line reads: time level message key=value")
    func text() throws {
        logger(.text).warning("edge lost", metadata: ["b": "two words", "a": "1", "c": "", "d": "x=\"y\""])
        let line = try #require(lines.all.first)
        let rest = line.drop { $0 != " " }
        #expect(rest == " warning edge lost a=1 b=\"two words\" c=\"\" d=\"x=\\\"y\\\"\"\n")
    }

    @Test("whatever is logged, it stays one line without control characters", arguments: LogFormat.allCases)
    func injection(format: LogFormat) throws {
        let evil = "a\nb\rc\u{1B}[31md\u{0}e\u{7F}f\u{85}g\u{2028}h\u{202E}i\"j\\k\tl"
        logger(format).error("\(evil)", metadata: ["key\n\"x": "\(evil)"])
        let line = try #require(lines.all.first)
        let scalars = line.dropLast().unicodeScalars
        #expect(!scalars.contains { $0.properties.generalCategory == .control })
        #expect(!scalars.contains("\u{2028}") && !scalars.contains("\u{202E}"))
        if format == .json {
            #expect(try lines.objects().first?["message"] as? String == evil)
            #expect(try lines.objects().first?["key\n\"x"] as? String == evil)
        }
    }

    @Test("metadata cannot forge the fields of the line")
    func reserved() throws {
        logger(.json).info("real", metadata: ["message": "forged", "level": "forged", "time": "x", "program": "x"])
        let object = try #require(try lines.objects().first)
        #expect(object["message"] as? String == "real")
        #expect(object["metadata.message"] as? String == "forged")
        #expect(lines.all.first?.components(separatedBy: "\"level\":").count == 2)
    }

    @Test("long values are cut", arguments: LogFormat.allCases)
    func long(format: LogFormat) throws {
        logger(format).info("x", metadata: ["k": "\(String(repeating: "\u{1}", count: 100_000))"])
        let line = try #require(lines.all.first)
        #expect(line.utf8.count < 5_000)
        #expect(line.contains("…"))
    }

    @Test("records below the level are not written; metadata of logger and record merge, the record's wins")
    func levelAndMerge() throws {
        var logger = logger(.json, .warning)
        logger[metadataKey: "a"] = "logger"
        logger[metadataKey: "b"] = "logger"
        logger.info("no")
        logger.warning("yes", metadata: ["b": "record"])
        let object = try #require(try lines.objects().first)
        #expect(lines.all.count == 1)
        #expect(object["a"] as? String == "logger")
        #expect(object["b"] as? String == "record")
    }

    @Test("an access line holds the request without its query")
    func access() throws {
        let id = try #require(RequestID("req-1"))
        let record = AccessRecord(
            method: "GET",
            target: "/b/v1/sha256/00?a=x&g=SIGNATURE",
            status: 206,
            bytes: 1024,
            duration: .milliseconds(1500),
            remote: "10.0.0.1",
            requestID: id,
            userAgent: "docker/20",
            outcome: "hit"
        )
        AccessLog(format: .json, program: "depot-edge", sink: lines.sink).log(record)
        AccessLog(format: .text, program: "depot-edge", sink: lines.sink).log(record)
        #expect(!lines.all.contains { $0.contains("SIGNATURE") })
        let line = try #require(lines.all.first)
        let object = try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: any Sendable])
        #expect(object["message"] as? String == "request")
        #expect(object["request.id"] as? String == "req-1")
        #expect(object["http.path"] as? String == "/b/v1/sha256/00")
        #expect(object["http.status"] as? Int == 206)
        #expect(object["http.bytes"] as? Int == 1024)
        #expect(object["http.microseconds"] as? Int == 1_500_000)
        #expect(object["outcome"] as? String == "hit")
        #expect(lines.all[1].contains(" http.path=/b/v1/sha256/00 http.status=206 "))
    }

    @Test("bootstrap writes one line per record to standard error")
    func bootstrap() async throws {
        let result = try #require(
            await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
                LogSetup.bootstrap(format: .text, level: .info, program: "depot-edge")
                Logger(label: "any").info("started", metadata: ["port": "1"])
                Logger(label: "any").debug("hidden")
            }
        )
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.hasSuffix(" info started port=1\n"))
        #expect(!text.contains("hidden"))
    }

    @Test("request ids: new ones are 16 hex digits and differ; foreign ones are checked")
    func requestIDs() {
        let ids = (0..<1_000).map { _ in RequestID().description }
        #expect(Set(ids).count == 1_000)
        #expect(ids.allSatisfy { $0.wholeMatch(of: /[0-9a-f]{16}/) != nil })
        #expect(RequestID("Abc-9")?.description == "Abc-9")
        #expect(RequestID(String(repeating: "a", count: 64)) != nil)
        for text in ["", "a b", "a\n", "ä", "a_b", "a\"", String(repeating: "a", count: 65)] {
            #expect(RequestID(text) == nil, "\(text)")
        }
    }
}
