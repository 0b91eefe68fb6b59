// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Config
import Disk
import Telemetry

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Joins an origin and serves blobs until SIGTERM.",
        discussion: """
            Every option is also a setting of the same name, DEPOT_CACHE_DIRECTORY for --cache-directory, in the \
            environment or in the file given with --config. A flag wins over the environment, that over the file.

            EXAMPLE
              depot-origin edge create fra-1 --region eu --url https://fra-1.blobs.example > credential
              depot-edge serve --cache-directory /var/cache/depot --credential-file credential --listen 0.0.0.0:8090
            """)

    @Option(help: "Configuration file: DEPOT_* settings, one KEY=VALUE a line.") var config: String?
    @Option(help: "Where blobs are cached.") var cacheDirectory: String?
    @Option(help: "File with what `depot-origin edge create` printed.") var credentialFile: String?
    @Option(help: "HOST:PORT of the blob listener (127.0.0.1:8090).") var listen: String?
    @Option(help: "HOST:PORT of health and metrics (127.0.0.1:8091).") var adminListen: String?
    @Flag(help: "Join over plain http outside of the loopback: for laboratories.") var allowPlainHttpJoin = false
    @Option(help: "Bytes of blobs to keep, e.g. 500GiB (four fifths of the disk).") var cacheBytesMax: String?
    @Option(help: "Bytes to leave free on the disk (a twentieth of it, at most 20GiB).") var diskReserveBytes: String?
    @Option(help: "Bytes of idle blobs to read and check in the background each second, 0 for none (4MiB).")
    var scrubBytesPerSecond: String?
    @Option(help: "Connections at once (16384).") var connectionCountMax: String?
    @Option(help: "Connections at once of one address, or of one IPv6 /64 (4096).")
    var connectionCountPerAddressMax: String?
    @Option(help: "Seconds that running transfers get after SIGTERM (30).") var drainSeconds: String?
    @Option(help: "PEM file: certificate, then intermediates.") var tlsCertificate: String?
    @Option(help: "PEM file: private key.") var tlsKey: String?
    @Option(help: "PEM file of authorities that the origin's certificate may come from.") var caFile: String?
    @Option(help: "Writes the bound addresses to this file, as JSON.") var portFile: String?
    @Option(help: "text or json (text).") var logFormat: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical (info).") var logLevel: String?
    @Option(help: "on or off (on).") var accessLog: String?
    @Option(help: "on or off (off): whether a crash may write the memory, secrets included, to a core file.")
    var coreFiles: String?
    @Flag(help: "Checks the settings and exits.") var checkConfig = false

    private var flags: [String: String] {
        let options = [
            "CONFIG": config, "CACHE_DIRECTORY": cacheDirectory, "CREDENTIAL_FILE": credentialFile, "LISTEN": listen,
            "ADMIN_LISTEN": adminListen, "ALLOW_PLAIN_HTTP_JOIN": allowPlainHttpJoin ? "true" : nil,
            "CACHE_BYTES_MAX": cacheBytesMax, "DISK_RESERVE_BYTES": diskReserveBytes,
            "SCRUB_BYTES_PER_SECOND": scrubBytesPerSecond,
            "CONNECTION_COUNT_MAX": connectionCountMax,
            "CONNECTION_COUNT_PER_ADDRESS_MAX": connectionCountPerAddressMax, "DRAIN_SECONDS": drainSeconds,
            "TLS_CERTIFICATE": tlsCertificate, "TLS_KEY": tlsKey, "CA_FILE": caFile, "PORT_FILE": portFile,
            "LOG_FORMAT": logFormat, "LOG_LEVEL": logLevel, "ACCESS_LOG": accessLog, "CORE_FILES": coreFiles,
        ]
        return Dictionary(
            uniqueKeysWithValues: options.compactMap { key, value in value.map { ("DEPOT_" + key, $0) } })
    }

    func run() async throws {
        let settings: EdgeSettings
        do throws(SettingsError) {
            settings = try EdgeSettings(flags: flags)
        } catch {
            try Self.fail(error.description, code: 2)
        }
        if checkConfig { return }
        LogSetup.bootstrap(format: settings.logFormat, level: settings.logLevel, program: "depot-edge")
        OpenFileLimit.raise()
        if settings.allowsCoreFiles { CrashTraces.allowCoreFiles() }
        do {
            try await EdgeNode(settings: settings).run()
        } catch {
            try Self.fail("\(error)", code: 1)
        }
    }

    /// One clear line on standard error, and the exit code.
    private static func fail(_ message: String, code: Int32) throws -> Never {
        LogSink.standardError.write(Array(("depot-edge: " + message + "\n").utf8))
        throw ExitCode(code)
    }
}
