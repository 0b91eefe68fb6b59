// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOHTTP1

/// Answers of a program about itself: health, readiness, metrics. Small, whole bodies; GET and HEAD only.
package struct StatusRoutes: Sendable {
    package struct Answer: Sendable {
        package let status: Int
        package let contentType: String
        package let body: String

        package init(status: Int, contentType: String = "text/plain; charset=utf-8", body: String) {
            self.status = status
            self.contentType = contentType
            self.body = body
        }
    }

    private let answers: [String: @Sendable () -> Answer]

    /// - Parameter answers: By path. Called on an event loop, so they may not block.
    package init(_ answers: [String: @Sendable () -> Answer]) { self.answers = answers }

    func answer(path: String) -> Answer {
        answers[path]?() ?? Answer(status: 404, body: "not found\n")
    }
}

/// Serves `StatusRoutes` on the admin listener.
package final class StatusHandler: ChannelInboundHandler {
    package typealias InboundIn = HTTPServerRequestPart
    package typealias OutboundOut = IOData

    /// A connection without a request for as long is closed, at the latest after twice the time.
    private static let idleTime = TimeAmount.seconds(75)

    private let routes: StatusRoutes
    private var head: HTTPRequestHead?
    private var wasUsed = false
    private var look: RepeatedTask?

    package init(routes: StatusRoutes) { self.routes = routes }

    package func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((handler: self, channel: context.channel), eventLoop: context.eventLoop)
        look = context.eventLoop.scheduleRepeatedTask(initialDelay: Self.idleTime, delay: Self.idleTime) { _ in
            let (handler, channel) = bound.value
            if !handler.wasUsed { channel.close(promise: nil) }
            handler.wasUsed = false
        }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        look?.cancel()
        look = nil
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            wasUsed = true
            respond(to: head, context: context)
        }
    }

    private func respond(to head: HTTPRequestHead, context: ChannelHandlerContext) {
        let isHead = head.method == .HEAD
        let path = head.uri.prefix { $0 != "?" }
        let answer =
            isHead || head.method == .GET
            ? routes.answer(path: String(path)) : StatusRoutes.Answer(status: 405, body: "method not allowed\n")
        var buffer = context.channel.allocator.buffer(capacity: answer.body.utf8.count + 256)
        let keepsAlive = head.isKeepAlive && !head.isLastOfConnection
        buffer.writeString(
            """
            HTTP/1.1 \(answer.status) \(HTTPResponseStatus(statusCode: answer.status).reasonPhrase)\r
            Content-Type: \(answer.contentType)\r
            Content-Length: \(answer.body.utf8.count)\r
            Cache-Control: no-store\r
            \(keepsAlive ? "" : "Connection: close\r\n")\r\n
            """)
        if !isHead { buffer.writeString(answer.body) }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(buffer))).whenComplete { _ in
            if !keepsAlive { channel.close(promise: nil) }
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Connections.DrainEvent || event as? ChannelEvent == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
