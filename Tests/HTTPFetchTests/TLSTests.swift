// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPFetch
import Testing

/// Trust: against a real TLS server, `openssl s_server`, with a certificate made for the test.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: TLSServer.program)), .timeLimit(.minutes(1)))
struct TLSTests {
    private func get(_ url: String, trusting file: String?) async throws -> Int {
        var configuration = Fetcher.Configuration()
        configuration.certificateAuthorityFile = file
        let fetcher = try Fetcher(name: "fetch", configuration: configuration)
        return try await fetcher.collect(FetchRequest(.get, url), bodyBytesMax: 1 << 20).status
    }

    @Test("an authority of one's own is trusted when it is named, for the names in the certificate only")
    func authority() async throws {
        let server = try TLSServer()
        defer { server.stop() }
        let url = "https://127.0.0.1:\(server.port)/"
        #expect(try await get(url, trusting: server.certificatePath) == 200)

        let untrusted = await #expect(throws: FetchError.self) { _ = try await get(url, trusting: nil) }
        #expect(untrusted?.kind == .connect)
        let otherName = await #expect(throws: FetchError.self) {
            _ = try await get("https://localhost:\(server.port)/", trusting: server.certificatePath)
        }
        #expect(otherName?.kind == .connect)
        let noFile = await #expect(throws: FetchError.self) { _ = try await get(url, trusting: "/nowhere/ca.pem") }
        #expect(noFile?.kind == .connect)
    }
}

/// `openssl s_server` on a free port, with a certificate for 127.0.0.1.
private final class TLSServer {
    static let program = "/usr/bin/openssl"

    struct NoPort: Error {}

    let port: UInt16
    let certificatePath: String
    private let directory: URL
    private let process: Process

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("depot-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        certificatePath = directory.appendingPathComponent("certificate.pem").path
        let keyPath = directory.appendingPathComponent("key.pem").path
        let request = Self.command([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
            "-subj", "/CN=depot-test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyPath,
            "-out", certificatePath,
        ])
        try request.run()
        request.waitUntilExit()

        let server = Self.command([
            "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificatePath, "-key", keyPath,
        ])
        let output = Pipe()
        server.standardOutput = output
        try server.run()
        process = server
        // "ACCEPT 127.0.0.1:40123" is the line that says where it listens.
        var text = ""
        while !text.contains("ACCEPT") || text.last != "\n" {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw NoPort() }
            text += String(decoding: data, as: UTF8.self)
        }
        let line = text.split(separator: "\n").first { $0.hasPrefix("ACCEPT") }
        guard let port = line?.split(separator: ":").last.flatMap({ UInt16($0) }) else { throw NoPort() }
        self.port = port
    }

    func stop() {
        // Not SIGTERM: the child inherits the signal mask of the pool's thread that started it, and that one blocks it.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: directory)
    }

    private static func command(_ arguments: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        return process
    }
}
