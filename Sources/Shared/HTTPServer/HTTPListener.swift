// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A plain HTTP/1.1 listener: request decoder, one handler of the caller's, nothing in between. The handler receives
/// `HTTPServerRequestPart`, or the bytes themselves where there is no decoder, and writes `IOData`, heads included.
package final class HTTPListener: Sendable {
    package struct Limits: Sendable {
        package var headerFieldBytesMax = 8 * 1024
        package var headerListBytesMax = 32 * 1024
        package var headerFieldCountMax = 100
        package init() {}
    }

    package let address: SocketAddress
    package let connections: Connections
    private let serverChannel: any Channel

    private init(serverChannel: any Channel, address: SocketAddress, connections: Connections) {
        self.serverChannel = serverChannel
        self.address = address
        self.connections = connections
    }

    /// - Parameters:
    ///   - certificate: Of this moment for each connection; `nil` for plain HTTP.
    ///   - connections: Counts this listener's connections, bounds them, and drains them.
    ///   - limits: Of request heads; `nil` for handlers that read the bytes themselves.
    ///   - times: How long a client may take to bring a request.
    ///   - makeHandler: Called on the connection's event loop.
    /// - Throws: What bind(2) or name resolution failed with.
    package static func bind(
        host: String,
        port: Int,
        group: any EventLoopGroup,
        certificate: ServerCertificate?,
        connections: Connections,
        limits: Limits? = Limits(),
        times: HeadDeadline.Limits = HeadDeadline.Limits(),
        makeHandler: @escaping @Sendable (any Channel) -> any ChannelInboundHandler
    ) async throws -> HTTPListener {
        let decoderLimits = limits.map(decoderLimits)
        let serverChannel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [decoderLimits] channel in
                guard connections.add(channel) else { return channel.close() }
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let certificate {
                        try pipeline.addHandler(NIOSSLServerHandler(context: certificate.context))
                    }
                    try pipeline.addHandler(
                        HeadDeadline(limits: times, isTLS: certificate != nil, connections: connections))
                    if let decoderLimits {
                        let decoder = HTTPRequestDecoder(
                            leftOverBytesStrategy: .dropBytes, limitConfiguration: decoderLimits)
                        try pipeline.addHandler(ByteToMessageHandler(decoder))
                    }
                    try pipeline.addHandler(makeHandler(channel))
                }
            }
            .bind(host: host, port: port).get()
        guard let address = serverChannel.localAddress else { throw ChannelError.unknownLocalAddress }
        return HTTPListener(serverChannel: serverChannel, address: address, connections: connections)
    }

    private static func decoderLimits(_ limits: Limits) -> NIOHTTPDecoderLimitConfiguration {
        var configuration = NIOHTTPDecoderLimitConfiguration()
        configuration.maxHeaderFieldSize = limits.headerFieldBytesMax
        configuration.maxHeaderListSize = limits.headerListBytesMax
        configuration.maxHeaderFieldCount = limits.headerFieldCountMax
        return configuration
    }

    /// Stops accepting, lets running responses end, and closes what is left after `deadline`.
    package func drain(deadline: Duration) async {
        try? await serverChannel.close()
        connections.drain()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.connections.waitUntilEmpty() }
            group.addTask {
                try? await Task.sleep(for: deadline)
                self.connections.closeAll()
            }
            await group.next()
            group.cancelAll()
        }
    }
}
