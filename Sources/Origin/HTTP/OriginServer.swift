// SPDX-License-Identifier: Apache-2.0

package import Blocking
import Grammar
package import HTTPServer
import HTTPTypes
package import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOPosix
import NIOSSL
package import ServiceLifecycle

/// A family of routes below fixed path prefixes. It answers everything below them, unknown paths included.
package protocol RouteGroup: Sendable {
    /// Raw path prefixes without a trailing slash, e.g. `/v2`.
    var prefixes: [String] { get }
    /// - Throws: Only what is a fault of the server; it becomes 500 and a log line.
    func respond(to request: Request, context: OriginRequestContext) async throws -> Response
}

/// One listener of the origin: route groups behind Hummingbird's server, with our own connection handler below it.
package struct OriginServer: Sendable {
    package struct Configuration: Sendable {
        package var host: String
        package var port: Int
        package var certificate: ServerCertificate?
        package var connections: Connections
        package var clientAddresses = ClientAddresses()
        package var headerFieldBytesMax = 16 * 1024
        package var headerListBytesMax = 64 * 1024
        package var headerFieldCountMax = 100
        package var idleTimeout: TimeAmount = .seconds(75)
        package var times = HeadDeadline.Limits()

        /// - Parameters:
        ///   - certificate: Of this moment for each connection; `nil` for plain HTTP.
        ///   - connections: Counts and bounds this listener's connections. Draining them is Hummingbird's business.
        package init(host: String, port: Int, certificate: ServerCertificate? = nil, connections: Connections) {
            self.host = host
            self.port = port
            self.certificate = certificate
            self.connections = connections
        }
    }

    private let configuration: Configuration
    private let responder: OriginResponder
    private let diskPool: BlockingPool
    private let observer: ExchangeObserver
    private let logger: Logger

    package init(
        _ configuration: Configuration,
        groups: [any RouteGroup],
        diskPool: BlockingPool,
        observer: ExchangeObserver,
        logger: Logger
    ) {
        self.configuration = configuration
        responder = OriginResponder(groups: groups)
        self.diskPool = diskPool
        self.observer = observer
        self.logger = logger
    }

    /// The listener as a service: runs until graceful shutdown, then lets running requests end.
    ///
    /// - Parameter running: Called with the bound address once connections are accepted.
    package func service(running: @escaping @Sendable (SocketAddress) async -> Void) -> any Service {
        let builder = HTTPServerBuilder { [self] respond in
            OriginChannel(
                responder: respond, configuration: configuration, observer: observer, diskPool: diskPool)
        }
        // Of the server library only what an operator has to know; contexts get the same logger for their own lines.
        var logger = logger
        logger.logLevel = max(logger.logLevel, .notice)
        return Application(
            responder: responder,
            server: builder,
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: 4096),
            onServerRunning: { channel in
                if let address = channel.localAddress { await running(address) }
            },
            logger: logger)
    }
}

/// Finds the group of a path. There is no other routing here: each group parses its own paths.
struct OriginResponder: HTTPResponder {
    private let groups: [(prefix: String, group: any RouteGroup)]

    init(groups: [any RouteGroup]) {
        self.groups = groups.flatMap { group in group.prefixes.map { ($0, group) } }
    }

    func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        let response = try await answer(request, context)
        // RFC 9110 §9.3.2: the head as GET would have it, and nothing behind it. A body here would be read as the
        // beginning of the next answer; only a router would have dropped it for us.
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(_ request: Request, _ context: OriginRequestContext) async throws -> Response {
        guard request.method != .connect else {
            return .plain(.methodNotAllowed, "this is no proxy", headers: [.allow: "GET, HEAD"])
        }
        let target = RawTarget(request)
        guard let found = groups.first(where: { target.isBelow($0.prefix) }) else {
            return .plain(.notFound, "404 page not found")
        }
        do {
            return try await found.group.respond(to: request, context: context)
        } catch let error as HTTPParserError {
            throw error
        } catch is BodyCutShort {
            return .plain(.badRequest, "the request body ended before its declared length")
        } catch is CancellationError {
            return .failure(.serviceUnavailable, requestID: request.requestID, retryAfterSeconds: 1)
        } catch {
            context.logger.error(
                "request failed",
                metadata: ["request.id": "\(request.requestID)", "error": "\(error)", "path": "\(target.path)"])
            return .failure(.internalServerError, requestID: request.requestID)
        }
    }
}

/// Hummingbird's HTTP/1 channel with `ConnectionHandler` between the codecs, where file regions are legal.
struct OriginChannel: HTTPChannelHandler {
    /// What there is of a connection after it was accepted.
    enum Value: ServerChildChannelValue {
        /// And the handler that belongs to it.
        case open(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>, Connection)
        /// One too many.
        case refused(any Channel)

        var channel: any Channel {
            switch self {
            case .open(let asyncChannel, _): asyncChannel.channel
            case .refused(let channel): channel
            }
        }
    }

    let responder: HTTPChannelHandler.Responder
    let configuration: OriginServer.Configuration
    let observer: ExchangeObserver
    let diskPool: BlockingPool

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard configuration.connections.add(channel) else {
            channel.close(promise: nil)
            return channel.eventLoop.makeSucceededFuture(.refused(channel))
        }
        let isTLS = configuration.certificate != nil
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            if let certificate = configuration.certificate {
                try pipeline.addHandler(NIOSSLServerHandler(context: certificate.context))
            }
            let headDeadline = HeadDeadline(
                limits: configuration.times, isTLS: isTLS, connections: configuration.connections)
            try pipeline.addHandler(headDeadline)
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = configuration.headerFieldBytesMax
            limits.maxHeaderListSize = configuration.headerListBytesMax
            limits.maxHeaderFieldCount = configuration.headerFieldCountMax
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false,
                withErrorHandling: false,
                withOutboundHeaderValidation: false,
                withEncoderConfiguration: .init(),
                withDecoderLimitConfiguration: limits)
            let handler = ConnectionHandler(
                eventLoop: channel.eventLoop, observer: observer, headDeadline: headDeadline)
            try pipeline.addHandler(handler)
            try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: isTLS))
            try pipeline.addHandler(
                HTTPConnectionStateHandler(idleTimeout: Duration(configuration.idleTimeout), logger: logger))
            // Uploads: few large reads instead of many small ones.
            let options = channel.syncOptions
            try options?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 16 * 1024, initial: 64 * 1024, maximum: 1024 * 1024))
            try options?.setOption(.tcpOption(.tcp_nodelay), value: 1)
            let asyncChannel = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            let connection = Connection(
                channel: channel,
                isTLS: isTLS,
                handler: NIOLoopBound(handler, eventLoop: channel.eventLoop),
                clientAddresses: configuration.clientAddresses,
                diskPool: diskPool)
            return .open(asyncChannel, connection)
        }
    }

    func handle(value: Value, logger: Logger) async {
        guard case .open(let asyncChannel, let connection) = value else { return }
        await Connection.$current.withValue(connection) {
            await handleHTTP(asyncChannel: asyncChannel, logger: logger)
        }
    }
}
