// SPDX-License-Identifier: Apache-2.0

import Blocking
import Config
import Disk
import Foundation
import HTTPServer
import Logging
import NIOCore
import OriginAuth
import OriginEdgeControl
import OriginHTTP
import OriginMetadata
import OriginPrivatePostgres
import ServiceLifecycle
import Telemetry
import UnixSignals

/// The running origin, from start to drain: database, parts, listeners; then in reverse.
struct OriginNode: Sendable {
    private static let adminConnectionCountMax = 1024

    private let settings: OriginSettings
    private let logger = Logger(label: "depot-origin")
    private let metrics = Metrics()

    init(settings: OriginSettings) { self.settings = settings }

    /// Runs until SIGTERM or SIGINT, then drains.
    /// - Throws: `StartFailure`; what a listener could not be bound with.
    func run() async throws {
        try await ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: Running(node: self), successTerminationBehavior: .gracefullyShutdownGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: .silent)
        ).run()
    }

    private struct Running: Service {
        let node: OriginNode
        func run() async throws { try await node.startAndServe() }
    }

    private func startAndServe() async throws {
        do throws(DiskError) {
            _ = try Directory.create(settings.dataDirectory, permissions: 0o750)
        } catch { throw StartFailure("data directory", error) }
        let lock: DataDirectoryLock
        do { lock = try DataDirectoryLock(settings.dataDirectory) } catch {
            throw StartFailure(settings.dataDirectory, error)
        }
        defer { withExtendedLifetime(lock) {} }
        let cluster = try await privateCluster()
        let keeping = Task { await cluster?.keepRunning() }
        let stopDatabase: @Sendable () async -> Void = {
            keeping.cancel()
            await keeping.value
            await cluster?.stop()
        }
        do {
            try await withDatabase(url: cluster?.url ?? settings.databaseURL?.reveal ?? "") { database in
                let parts = try await OriginParts(settings, database: database, metrics: metrics, logger: logger)
                try await serve(parts, stopDatabase: stopDatabase)
            }
        } catch {
            await stopDatabase()
            throw error
        }
        await stopDatabase()
        logger.info("origin stopped")
    }

    private func privateCluster() async throws -> PrivateCluster? {
        guard settings.databaseURL == nil else { return nil }
        do {
            return try await PrivateCluster.start(dataDirectory: settings.dataDirectory + "/postgres", logger: logger)
        } catch { throw StartFailure("private database", error) }
    }

    private func withDatabase(url: String, _ body: (Database) async throws -> Void) async throws {
        var configuration = Database.Configuration(url: url)
        configuration.missingReferencesDefault = settings.missingReferences
        let database = Database(configuration, logger: logger, metrics: metrics)
        do {
            try await database.start()
            try await body(database)
        } catch {
            await database.close()
            throw error is DatabaseError ? StartFailure("start", error) : error
        }
        await database.close()
    }

    /// Runs the listeners and what belongs to them until the shutdown, and then until the last request has ended or
    /// its time is over.
    private func serve(_ parts: OriginParts, stopDatabase: @escaping @Sendable () async -> Void) async throws {
        let addresses = BoundAddresses(portFile: settings.portFile, logger: logger)
        let certificate = try settings.tls.map { files in
            do throws(ServerTLSError) {
                return try ServerCertificate(certificatePath: files.certificateFile, keyPath: files.keyFile)
            } catch { throw StartFailure("TLS", error) }
        }
        if let certificate {
            metrics.gaugeFunction(
                "depot_origin_certificate_expiry_seconds", help: "End of the certificate's validity, Unix time."
            ) { Double(certificate.expirySeconds) }
        }
        let connections = Connections(
            countMax: settings.connectionCountMax, countPerClientMax: settings.connectionCountPerAddressMax)
        connections.report(to: metrics, program: "origin", listener: "registry")
        let accessLog = settings.writesAccessLog ? AccessLog(format: settings.logFormat, program: "depot-origin") : nil
        var registryListener = OriginServer.Configuration(
            host: settings.listen.host, port: settings.listen.port, certificate: certificate, connections: connections)
        registryListener.clientAddresses = ClientAddresses(proxies: settings.trustedProxies)
        var adminListener = OriginServer.Configuration(
            host: settings.adminListen.host, port: settings.adminListen.port,
            connections: Connections(countMax: Self.adminConnectionCountMax))
        adminListener.clientAddresses = registryListener.clientAddresses
        let registry = OriginServer(
            registryListener,
            groups: parts.registryGroups,
            diskPool: parts.diskPool,
            observer: ExchangeObserver(listener: "registry", metrics: metrics, accessLog: accessLog),
            logger: logger
        ).service { [settings] address in
            parts.origins.bound(at: settings.ownURL(port: address.port ?? settings.listen.port))
            await addresses.bound(.listen, to: address)
        }
        let admin = OriginServer(
            adminListener,
            groups: parts.adminGroups,
            diskPool: parts.diskPool,
            observer: ExchangeObserver(listener: "admin", metrics: metrics, accessLog: accessLog),
            logger: logger
        ).service { address in await addresses.bound(.admin, to: address) }

        try await withThrowingTaskGroup(of: Void.self) { listeners in
            listeners.addTask { try await Self.run(registry, "registry listener \(settings.listen)") }
            listeners.addTask { try await Self.run(admin, "admin listener \(settings.adminListen)") }
            try await parts.withBackgroundWork([
                { await cutOff(stopDatabase: stopDatabase) },
                { await ServerCertificate.follow(certificate, pool: parts.diskPool, logger: logger) },
            ]) {
                try await withGracefulShutdownHandler {
                    // Not waitForAll: the first listener that fails ends the others.
                    while try await listeners.next() != nil {}
                } onGracefulShutdown: { [logger] in
                    logger.info("draining")
                    parts.beginDrain()
                }
            }
        }
    }

    private static func run(_ listener: any Service, _ name: String) async throws {
        do { try await listener.run() } catch { throw StartFailure(name, error) }
    }

    /// Ends the process if its requests have not ended in time after the shutdown began; cancelled if they have.
    private func cutOff(stopDatabase: @Sendable () async -> Void) async {
        guard (try? await gracefulShutdown()) != nil, (try? await Task.sleep(for: settings.drainTime)) != nil else {
            return
        }
        logger.warning("requests cut off: the time to drain is over")
        await stopDatabase()
        exit(0)
    }
}
