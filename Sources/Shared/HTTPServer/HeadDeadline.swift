// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOTLS

/// Ends a connection that does not bring a request in time: no bytes at all, a TLS handshake that does not end, or a
/// head that arrives in crumbs. Sits before the decoder of requests, behind TLS; lives on the channel's event loop.
///
/// The time between two requests is not its business. A head that is whole in the read that brings it, as nearly all
/// are, costs a look at four bytes; timers exist only for a new connection and for a head in crumbs.
package final class HeadDeadline: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer

    package struct Limits: Sendable {
        /// From its first byte until a head is whole; for a TLS handshake as well.
        package var headTime = TimeAmount.seconds(15)
        /// Until the first byte of a new connection.
        package var idleTime = TimeAmount.seconds(75)

        package init() {}
    }

    /// CR LF CR LF.
    private static let blankLine: UInt32 = 0x0D0A_0D0A

    private let limits: Limits
    private let isTLS: Bool
    private let connections: Connections
    private var context: ChannelHandlerContext?
    /// When the connection ends unless a head is whole; `nil` while nothing is late.
    private var deadline: NIODeadline?
    private var isFirst = true
    private var isInRequest = false
    private var hasSeenPart = false
    /// The last four bytes that arrived.
    private var tail: UInt32 = 0
    private var timer: (scheduled: Scheduled<Void>, at: NIODeadline)?

    /// - Parameter connections: Counts the connections that end here.
    package init(limits: Limits, isTLS: Bool, connections: Connections) {
        self.limits = limits
        self.isTLS = isTLS
        self.connections = connections
    }

    // MARK: Told by the handler that decodes requests with bodies; others need not tell

    /// A head is whole; a body may follow.
    package func requestBegan() {
        hasSeenPart = true
        isInRequest = true
        deadline = nil
    }

    /// The request is whole.
    package func requestEnded() {
        hasSeenPart = true
        isInRequest = false
    }

    // MARK: Events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        expect(within: isTLS ? limits.headTime : limits.idleTime)
    }

    package func handlerRemoved(context: ChannelHandlerContext) { stop() }

    package func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isFirst, case .handshakeCompleted = event as? TLSUserEvent { expect(within: limits.idleTime) }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        tail = unwrapInboundIn(data).readableBytesView.suffix(4).reduce(tail) { $0 << 8 | UInt32($1) }
        hasSeenPart = false
        context.fireChannelRead(data)
        guard self.context != nil, !isInRequest else { return }
        // Heads end in a blank line. Where it is the last that came, the whole of a request without a body is here.
        if tail == Self.blankLine || hasSeenPart {
            deadline = nil
        } else if isFirst || deadline == nil {
            expect(within: limits.headTime)
        }
        isFirst = false
    }

    // MARK: Time

    private func expect(within time: TimeAmount) {
        let deadline = NIODeadline.now() + time
        self.deadline = deadline
        if let timer {
            // One that fires too early starts the next.
            guard timer.at > deadline else { return }
            timer.scheduled.cancel()
        }
        schedule(at: deadline)
    }

    private func schedule(at deadline: NIODeadline) {
        guard let context else { return }
        let scheduled = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in fired() }
        timer = (scheduled, deadline)
    }

    private func fired() {
        timer = nil
        guard let deadline, let context else { return }
        guard NIODeadline.now() >= deadline else {
            schedule(at: deadline)
            return
        }
        stop()
        connections.endedLateHead()
        context.close(promise: nil)
    }

    private func stop() {
        timer?.scheduled.cancel()
        timer = nil
        deadline = nil
        context = nil
    }
}
