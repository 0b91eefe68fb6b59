// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Config
import Logging
import OCI
import OriginPrivatePostgres
import ServiceLifecycle
import Telemetry
import UnixSignals

/// `depot-origin database`: the private cluster as a process of its own, for several origins on one machine.
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database",
        abstract: "Runs a private PostgreSQL until SIGTERM, for several origins to share.",
        discussion: """
            Prints one line of JSON when it takes connections: {"database_url": …}. The cluster is made if the \
            directory has none; there is no TCP, only a unix socket.

            EXAMPLE
              depot-origin database --dir /var/lib/depot-database
            """)

    @Option(help: "Where the cluster lies.") var dir: String
    @Option(help: "text or json (text).") var logFormat: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical (info).") var logLevel: String?

    func run() async throws {
        let flags = ["DEPOT_LOG_FORMAT": logFormat, "DEPOT_LOG_LEVEL": logLevel].compactMapValues(\.self)
        var settings = try Settings(flags: flags)
        let format = settings.choice("DEPOT_LOG_FORMAT", default: LogFormat.text)
        let level = settings.choice("DEPOT_LOG_LEVEL", default: Logger.Level.info)
        LogSetup.bootstrap(format: format, level: level, program: "depot-origin")
        let logger = Logger(label: "depot-origin")
        let cluster: PrivateCluster
        do {
            cluster = try await PrivateCluster.start(dataDirectory: dir, logger: logger)
        } catch {
            throw StartFailure("private database", error)
        }
        let line = JSONValue.object([JSONMember(name: "database_url", value: .string(cluster.url))])
        StandardOutput.write(String(decoding: line.encode(), as: UTF8.self))
        let keeping = Task { await cluster.keepRunning() }
        try await ServiceGroup(
            services: [UntilShutdown()], gracefulShutdownSignals: [.sigterm, .sigint], logger: .silent
        ).run()
        keeping.cancel()
        await keeping.value
        await cluster.stop()
        logger.info("private database stopped")
    }

    private struct UntilShutdown: Service {
        func run() async throws { try await gracefulShutdown() }
    }
}
