// SPDX-License-Identifier: Apache-2.0

import HTTPServer
import NIOCore
import NIOHTTP1
import StackSupport
import Testing

/// Readers that stop, over real sockets.
@Suite(.timeLimit(.minutes(1))) struct StallGuardTests {
    private static let windowBytes = 256 * 1024
    private static let windowCount = 128

    /// Sends windows one behind the other, two in flight, as the edge sends files.
    private final class Sender: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = IOData

        private let interval: TimeAmount
        private let window = ByteBuffer(repeating: 7, count: windowBytes)
        private var stallGuard: StallGuard?
        private var leftCount = windowCount

        init(interval: TimeAmount) { self.interval = interval }

        func handlerAdded(context: ChannelHandlerContext) {
            stallGuard = StallGuard(channel: context.channel, interval: interval)
        }

        func handlerRemoved(context: ChannelHandlerContext) { stallGuard?.stop() }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .head = unwrapInboundIn(data) else { return }
            stallGuard?.responseBegan()
            send(context)
            send(context)
        }

        private func send(_ context: ChannelHandlerContext) {
            guard leftCount > 0 else {
                stallGuard?.responseEnded()
                return
            }
            leftCount -= 1
            let left = context.eventLoop.makePromise(of: Void.self)
            let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
            left.futureResult.whenSuccess { bound.value.handler.send(bound.value.context) }
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(window)), promise: left)
        }
    }

    @Test("a reader that has stopped loses its connection", arguments: [0, windowBytes])
    func stopped(readBytes: Int) async throws {
        try await Loopback.run(makeHandler: { _ in Sender(interval: .milliseconds(50)) }) { server in
            let socket = try await onThread {
                let socket = try server.socket()
                try socket.send(Loopback.request)
                var count = 0
                while count < readBytes { count += try socket.receive(countMax: readBytes - count).count }
                return Held(socket)
            }
            await server.connections.waitUntilEmpty()
            withExtendedLifetime(socket) {}
        }
    }

    @Test("a slow reader keeps its connection over many looks")
    func slow() async throws {
        try await Loopback.run { other in
            try await Loopback.run(makeHandler: { _ in Sender(interval: .milliseconds(250)) }) { server in
                let received = try await onThread {
                    let socket = try server.socket()
                    let pace = try other.socket()
                    try socket.send(Loopback.request)
                    var count = 0
                    while count < Self.windowBytes * Self.windowCount {
                        let part = try socket.receive(countMax: 64 * 1024)
                        if part.isEmpty { break }
                        count += part.count
                        try pace.passTime(until: .now + .milliseconds(4))
                    }
                    return count
                }
                #expect(received == Self.windowBytes * Self.windowCount)
            }
        }
    }
}

/// A socket that stays open while it is held.
private final class Held: Sendable {
    // SAFETY: only kept; nobody uses it after it was made.
    private nonisolated(unsafe) let socket: Socket
    init(_ socket: Socket) { self.socket = socket }
}
