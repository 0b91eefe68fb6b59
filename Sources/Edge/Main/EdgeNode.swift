// SPDX-License-Identifier: Apache-2.0

import Blocking
import Config
import Disk
import EdgeCache
import EdgeControl
import EdgeDelivery
import EdgeFill
import HTTPFetch
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Telemetry
import UnixSignals

/// The running edge: cache, control, fills and the two listeners, from start to drain.
struct EdgeNode: Service {
    /// After the origins know that this edge drains, clients may still come with a link that they got just before.
    private static let lastRedirectTime = Duration.seconds(2)

    private let settings: EdgeSettings
    private let logger = Logger(label: "depot-edge")
    private let metrics = Metrics()
    private let connections: Connections
    /// Eight threads that hash, on fewer processors, would make the event loops wait for their turn: those who only send
    /// come first.
    private let pool = BlockingPool(name: "edge-disk", threadCount: 8, queueCountMax: 4096, niceness: 5)
    private let cache: BlobCache
    private let control: EdgeControlService
    private let source: BlobSource
    private let certificate: ServerCertificate?

    init(settings: EdgeSettings) throws {
        self.settings = settings
        connections = Connections(
            countMax: settings.connectionCountMax, countPerClientMax: settings.connectionCountPerAddressMax)
        connections.report(to: metrics, program: "edge", listener: "blobs")
        let credential = try JoinFile.read(settings.credentialFile)
        try Directory.create(settings.cacheDirectory, permissions: 0o700)
        let totalBytes = try Directory.freeBytes(settings.cacheDirectory).total
        var caching = BlobCache.Configuration(
            directory: settings.cacheDirectory,
            bytesMax: settings.cacheBytes(totalBytes: totalBytes),
            reserveBytes: settings.reserveBytes(totalBytes: totalBytes))
        caching.scrubBytesPerSecond = settings.scrubBytesPerSecond.bytes
        cache = try BlobCache(
            caching,
            pool: pool, metrics: metrics, logger: logger)
        var fetching = Fetcher.Configuration()
        fetching.userAgent = "depot-edge/" + DepotEdge.version
        fetching.certificateAuthorityFile = settings.authorityFile
        let fetcher = try Fetcher(name: "edge-fetch", configuration: fetching)
        let directory = settings.cacheDirectory
        let connections = connections
        control = try EdgeControlService(
            EdgeControlService.Configuration(
                credential: credential,
                keysPath: directory + "/link-keys.json",
                listenURL: "\(settings.tls == nil ? "http" : "https")://\(settings.listen)",
                version: DepotEdge.version,
                allowsPlainHTTP: settings.allowsPlainHTTPJoin),
            fetcher: fetcher,
            pool: pool,
            load: {
                let space = try? Directory.freeBytes(directory)
                return EdgeLoad(
                    inflightRequestCount: connections.count,
                    freeBytes: space?.available ?? 0,
                    capacityBytes: space?.total ?? 0)
            },
            metrics: metrics, logger: logger)
        source = BlobSource(
            cache: cache, fetcher: fetcher, parents: control, pool: pool, metrics: metrics, logger: logger)
        certificate = try settings.tls.map { files in
            try ServerCertificate(certificatePath: files.certificateFile, keyPath: files.keyFile)
        }
        if let certificate {
            metrics.gaugeFunction(
                "depot_edge_certificate_expiry_seconds", help: "End of the certificate's validity, Unix time."
            ) { Double(certificate.expirySeconds) }
        }
    }

    /// Runs until SIGTERM or SIGINT, then drains.
    /// - Throws: What a listener could not be bound with.
    func run() async throws {
        try await ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: Running(node: self), successTerminationBehavior: .gracefullyShutdownGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "lifecycle") { _ in SwiftLogNoOpLogHandler() })
        ).run()
    }

    private struct Running: Service {
        let node: EdgeNode
        func run() async throws { try await node.serve() }
    }

    private func serve() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let status = try await HTTPListener.bind(
            host: settings.adminListen.host, port: settings.adminListen.port, group: group, certificate: nil,
            connections: Connections(countMax: 256)
        ) { [statusRoutes] _ in StatusHandler(routes: statusRoutes) }
        let environment = DeliveryEnvironment(
            source: source,
            verifier: { [control] in control.verifier() },
            refused: { [control] in control.refused(target: $0) },
            metrics: DeliveryMetrics(metrics),
            accessLog: settings.writesAccessLog
                ? AccessLog(format: settings.logFormat, program: "depot-edge") : nil,
            isTLS: certificate != nil)
        let blobs = try await HTTPListener.bind(
            host: settings.listen.host, port: settings.listen.port, group: group, certificate: certificate,
            connections: connections, limits: nil
        ) { _ in DeliveryHandler(environment: environment) }
        logger.info(
            "edge started", metadata: ["listen": "\(blobs.address)", "admin": "\(status.address)"])
        try writePortFile(blobs: blobs.address, status: status.address)

        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await control.run() }
            tasks.addTask { await cache.run() }
            tasks.addTask { await ServerCertificate.follow(certificate, pool: pool, logger: logger) }
            try? await gracefulShutdown()
            logger.info("draining")
            await control.beginDrain()
            try? await Task.sleep(for: Self.lastRedirectTime)
            await blobs.drain(deadline: settings.drainTime)
            tasks.cancelAll()
        }
        await status.drain(deadline: .zero)
        logger.info("edge stopped")
    }

    private var statusRoutes: StatusRoutes {
        StatusRoutes([
            "/healthz": { StatusRoutes.Answer(status: 200, body: "ok\n") },
            "/readyz": { [control, connections] in
                if connections.isDraining { return StatusRoutes.Answer(status: 503, body: "draining\n") }
                return control.hasKeys
                    ? StatusRoutes.Answer(status: 200, body: "ok\n")
                    : StatusRoutes.Answer(status: 503, body: "no link keys yet\n")
            },
            "/metrics": { [metrics] in
                StatusRoutes.Answer(
                    status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: metrics.exposition())
            },
        ])
    }

    private func writePortFile(blobs: SocketAddress, status: SocketAddress) throws {
        guard let path = settings.portFile else { return }
        func text(_ address: SocketAddress) -> String {
            HostPort(host: address.ipAddress ?? "", port: address.port ?? 0).description
        }
        let content = "{\"listen\":\"\(text(blobs))\",\"admin\":\"\(text(status))\"}\n"
        try AtomicFile.write(Array(content.utf8), to: path, permissions: 0o644)
    }
}
