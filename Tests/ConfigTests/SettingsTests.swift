// SPDX-License-Identifier: Apache-2.0

import Config
import Foundation
import Testing

@Suite("Settings")
struct SettingsTests {
    private enum Format: String, CaseIterable { case json, text }

    /// Writes `text` to a file for the time of `body`.
    private func withFile<Result>(_ text: String, _ body: (_ path: String) throws -> Result) throws -> Result {
        let path = NSTemporaryDirectory() + "depot-config-\(UUID().uuidString)"
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    private func problems(_ body: () throws -> Void) -> [String] {
        do {
            try body()
            return []
        } catch let error as SettingsError {
            return error.problems
        } catch {
            return ["unexpected: \(error)"]
        }
    }

    @Test("flag beats environment beats file beats default; an empty value is none")
    func precedence() throws {
        let text = "DEPOT_A=file\nDEPOT_B=file\nDEPOT_C=file\nDEPOT_D=file\nDEPOT_E=\n"
        try withFile(text) { path in
            var settings = try Settings(
                flags: ["DEPOT_CONFIG": path, "DEPOT_A": "flag", "DEPOT_D": ""],
                environment: ["DEPOT_A": "environment", "DEPOT_B": "environment", "DEPOT_D": ""]
            )
            #expect(settings.value("DEPOT_A", default: "default") == "flag")
            #expect(settings.value("DEPOT_B", default: "default") == "environment")
            #expect(settings.value("DEPOT_C", default: "default") == "file")
            #expect(settings.value("DEPOT_D", default: "default") == "file")
            #expect(settings.value("DEPOT_E", default: "default") == "default")
            #expect(settings.value("DEPOT_F", default: "default") == "default")
            try settings.finish()
        }
    }

    @Test("the file can be named by the environment; one that is missing is an error")
    func fileName() throws {
        try withFile("DEPOT_A=1\n") { path in
            var settings = try Settings(flags: [:], environment: ["DEPOT_CONFIG": path])
            #expect(settings.value("DEPOT_A", default: 0) == 1)
        }
        let missing = problems { _ = try Settings(flags: ["DEPOT_CONFIG": "/nowhere/x"], environment: [:]) }
        #expect(missing == ["/nowhere/x (configuration file): No such file or directory"])
    }

    @Test("every bad value gives one line with key, value, source, and reason")
    func badValues() throws {
        try withFile("# sizes\nDEPOT_CACHE_BYTES_MAX = 20GX\n") { path in
            var settings = try Settings(
                flags: ["DEPOT_CONFIG": path, "DEPOT_LISTEN": "8080"],
                environment: ["DEPOT_LINK_TTL_SECONDS": "5", "DEPOT_LOG_FORMAT": "xml", "DEPOT_NAME": "a\u{1B}[31m"]
            )
            _ = settings.value("DEPOT_LISTEN", default: HostPort(host: "::1", port: 1))
            _ = settings.value("DEPOT_LINK_TTL_SECONDS", default: Seconds(900), in: Seconds(60)...Seconds(3600))
            _ = settings.optional("DEPOT_CACHE_BYTES_MAX", as: ByteSize.self)
            #expect(settings.choice("DEPOT_LOG_FORMAT", default: Format.text) == .text)
            _ = settings.value("DEPOT_NAME", default: "")
            let lines = problems { try settings.finish() }
            #expect(
                lines == [
                    #"DEPOT_LISTEN="8080" (flag --listen): expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"#,
                    #"DEPOT_LINK_TTL_SECONDS="5" (environment): must be from 60 to 3600"#,
                    "DEPOT_CACHE_BYTES_MAX=\"20GX\" (\(path), line 2): "
                        + "expected a size such as 1048576, 512MiB, 20GiB or 1TiB",
                    #"DEPOT_LOG_FORMAT="xml" (environment): expected one of json, text"#,
                    "DEPOT_NAME=[redacted] (environment): holds a control character",
                ]
            )
        }
    }

    @Test("a bad value in a stronger source is an error, not a reason to take the weaker one")
    func noFallThrough() throws {
        try withFile("DEPOT_A=1\n") { path in
            var settings = try Settings(flags: ["DEPOT_CONFIG": path], environment: ["DEPOT_A": "x"])
            _ = settings.value("DEPOT_A", default: 0)
            #expect(problems { try settings.finish() } == [#"DEPOT_A="x" (environment): expected a whole number"#])
        }
    }

    @Test("a secret never shows in an error")
    func secrets() throws {
        var settings = try Settings(flags: [:], environment: ["DEPOT_DATABASE_URL": "postgres://u:hunter2@h/d"])
        _ = settings.optional("DEPOT_DATABASE_URL", as: Secret.self) { _ in "expected postgresql://…" }
        let lines = problems { try settings.finish() }
        #expect(lines == ["DEPOT_DATABASE_URL=[redacted] (environment): expected postgresql://…"])
    }

    @Test("a required setting is missed by name, together with earlier problems")
    func required() throws {
        var settings = try Settings(flags: [:], environment: ["DEPOT_A": "x", "DEPOT_B": "1"])
        _ = settings.value("DEPOT_A", default: 0)
        #expect(try settings.required("DEPOT_B", as: Int.self) == 1)
        let lines = problems { _ = try settings.required("DEPOT_DATA_DIRECTORY", as: String.self) }
        #expect(
            lines == [
                #"DEPOT_A="x" (environment): expected a whole number"#,
                "DEPOT_DATA_DIRECTORY: missing; give --data-directory, "
                    + "or DEPOT_DATA_DIRECTORY in the environment or the file",
            ]
        )
        let bad = problems { _ = try settings.required("DEPOT_A", as: Int.self) }
        #expect(bad.last == #"DEPOT_A="x" (environment): expected a whole number"#, "bad is not missing as well")
    }

    @Test("DEPOT_ names that nobody asked for are errors in the file and among the flags, not in the environment")
    func unknown() throws {
        try withFile("DEPOT_LISTN=x\nTZ=UTC\nDEPOT_CONFIG=y\nDEPOT_A=1") { path in
            var settings = try Settings(
                flags: ["DEPOT_CONFIG": path, "DEPOT_EXTRA": "1"],
                environment: ["DEPOT_TOKEN": "t"]
            )
            _ = settings.value("DEPOT_A", default: 0)
            #expect(
                problems { try settings.finish() } == [
                    "DEPOT_EXTRA (flag --extra): not a setting of this program",
                    "DEPOT_LISTN (\(path), line 1): not a setting of this program's file",
                    "DEPOT_CONFIG (\(path), line 3): not a setting of this program's file",
                ]
            )
        }
    }

    @Test("comments, spaces, quotes, and CRLF in a file")
    func fileSyntax() throws {
        let text =
            "# a\r\n\r\n  DEPOT_A =  one two \r\n\tDEPOT_B=\"quoted # text\"\r\n"
            + "DEPOT_C='x=y'\r\nDEPOT_D=\"open\r\n"
        try withFile(text) { path in
            var settings = try Settings(flags: ["DEPOT_CONFIG": path], environment: [:])
            #expect(settings.value("DEPOT_A", default: "") == "one two")
            #expect(settings.value("DEPOT_B", default: "") == "quoted # text")
            #expect(settings.value("DEPOT_C", default: "") == "x=y")
            #expect(settings.value("DEPOT_D", default: "") == "\"open")
            try settings.finish()
        }
    }

    @Test("lines that are no settings are errors, each with its number, and are not repeated")
    func badLines() throws {
        try withFile("DEPOT_A=1\nhunter2\n=x\n9A=1\nexport DEPOT_B=1\nDEPOT_A=2\n") { path in
            let lines = problems { _ = try Settings(flags: ["DEPOT_CONFIG": path], environment: [:]) }
            #expect(
                lines == [2, 3, 4, 5].map { "\(path), line \($0): expected KEY=VALUE or a # comment" } + [
                    "\(path), line 6: DEPOT_A is already set in line 1"
                ]
            )
        }
    }

    @Test("a file that is no text, or a directory, is an error")
    func badFile() throws {
        #expect(
            problems { _ = try Settings(flags: ["DEPOT_CONFIG": "/tmp"], environment: [:]) }
                == ["/tmp (configuration file): Is a directory"]
        )
        let path = NSTemporaryDirectory() + "depot-config-\(UUID().uuidString)"
        try Data([0x41, 0xFF, 0xFE]).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(
            problems { _ = try Settings(flags: ["DEPOT_CONFIG": path], environment: [:]) } == ["\(path): not UTF-8"]
        )
    }
}
