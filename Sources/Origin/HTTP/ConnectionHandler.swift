// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Grammar
import HTTPServer
import NIOCore
import NIOHTTP1
import Telemetry

/// The body of a request ended before its declared length: the client went away.
package struct BodyCutShort: Error {}

/// What the origin adds below Hummingbird's codec: `100 Continue` on demand, a lingering close after an early answer,
/// file regions, TCP_CORK, request ids, the access record, and the end of connections whose reader has stopped.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long a client has to take the answer to a refused upload before the connection is closed under it.
    static let lingerTime = TimeAmount.seconds(2)
    /// How long a refusal waits for the rest of a small body.
    static let holdTime = TimeAmount.seconds(2)
    /// Bodies from here on leave under TCP_CORK; smaller ones are one writev with their head.
    static let corkedBytesMin: Int64 = 64 * 1024

    private var exchanges = Exchanges()
    private var headSaidClose = false
    private var isCorked = false
    private var context: ChannelHandlerContext?
    private var stallGuard: StallGuard?
    private var lingering: Scheduled<Void>?
    /// An answer that waits for the end of its request.
    private var held: [(data: NIOAny, promise: EventLoopPromise<Void>?)] = []
    private var holding: Scheduled<Void>?
    private let observer: ExchangeObserver
    private let headDeadline: HeadDeadline
    private(set) var inputClosed: EventLoopPromise<Void>

    init(eventLoop: any EventLoop, observer: ExchangeObserver, headDeadline: HeadDeadline) {
        self.observer = observer
        self.headDeadline = headDeadline
        inputClosed = eventLoop.makePromise()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        stallGuard = StallGuard(channel: context.channel)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        stallGuard?.stop()
        lingering?.cancel()
        holding?.cancel()
        for part in held { part.promise?.fail(ChannelError.ioOnClosedChannel) }
        held = []
        inputClosed.succeed()
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let action: Exchanges.Inbound
        var part = unwrapInboundIn(data)
        switch part {
        case .head(var head):
            headDeadline.requestBegan()
            let requestID = RequestID()
            action = exchanges.receivedHead(
                Exchanges.Exchange(
                    requestID: requestID,
                    method: head.method.rawValue,
                    path: String(RawTarget(head.uri).path),
                    startNanoseconds: DispatchTime.now().uptimeNanoseconds,
                    expectsContinue: head.version == .http1_1
                        && head.headers[canonicalForm: "expect"].contains { $0.lowercased() == "100-continue" },
                    isLast: head.isLastOfConnection,
                    declaredBytes: head.headers.first(name: "content-length").flatMap { Int64($0) }))
            head.headers.replaceOrAdd(name: RequestIDHeader.name, value: requestID.description)
            part = .head(head)
        case .body(let buffer):
            action = exchanges.receivedBody(bytes: buffer.readableBytes)
        case .end:
            headDeadline.requestEnded()
            action = exchanges.receivedEnd()
            sendHeld()
        }
        switch action {
        case .forward: context.fireChannelRead(wrapInboundOut(part))
        case .discard: break
        case .stopReading: try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            inputClosed.succeed()
            sendHeld()
            if exchanges.isLingering {
                context.close(promise: nil)
            } else if exchanges.hasUnfinishedRequest {
                // Without this error a body that was cut short would look like one that ended.
                context.fireErrorCaught(BodyCutShort())
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        inputClosed.succeed()
        // A scheduled close holds the channel, with all that it has read.
        lingering?.cancel()
        if exchanges.hasUnfinishedRequest { context.fireErrorCaught(BodyCutShort()) }
        context.fireChannelInactive()
    }

    /// Bytes that are no request are answered here, and the connection is given up: where the next one would begin is
    /// not known. Inside of a body the error is its reader's.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The rest of a head that was refused is one error after the other, and an end of the connection for each would
        // reset it before the answer was read.
        guard !exchanges.isLingering else { return }
        guard let fault = error as? HTTPParserError, exchanges.isIdle else {
            context.fireErrorCaught(error)
            return
        }
        _ = exchanges.receivedHead(
            Exchanges.Exchange(
                requestID: RequestID(), method: "-", path: "-", startNanoseconds: DispatchTime.now().uptimeNanoseconds,
                expectsContinue: false, isLast: true))
        let (status, text) = Self.refusal(of: fault)
        let body = ByteBuffer(string: text + "\n")
        let headers: HTTPHeaders = [
            "Content-Type": "text/plain; charset=utf-8", "Content-Length": String(body.readableBytes),
        ]
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        write(context: context, data: wrapOutboundOut(.head(head)), promise: nil)
        write(context: context, data: wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        write(context: context, data: wrapOutboundOut(.end(nil)), promise: nil)
        context.flush()
    }

    private static func refusal(of fault: HTTPParserError) -> (HTTPResponseStatus, String) {
        switch fault {
        case .headerOverflow: (.requestHeaderFieldsTooLarge, "the head of the request is too large")
        case .invalidMethod: (.notImplemented, "unknown method")
        default: (.badRequest, "malformed request")
        }
    }

    // MARK: Outbound

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isHeld(data) {
            held.append((data, promise))
        } else {
            send(data, promise, context: context)
        }
    }

    private func isHeld(_ data: NIOAny) -> Bool {
        guard held.isEmpty else { return true }
        guard case .head(let head) = unwrapOutboundIn(data), exchanges.shouldWait(beforeStatus: Int(head.status.code))
        else { return false }
        let handler = NIOLoopBound(self, eventLoop: inputClosed.futureResult.eventLoop)
        holding = inputClosed.futureResult.eventLoop.scheduleTask(in: Self.holdTime) { handler.value.sendHeld() }
        return true
    }

    private func sendHeld() {
        guard let context, !held.isEmpty else { return }
        holding?.cancel()
        let parts = held
        held = []
        for part in parts { send(part.data, part.promise, context: context) }
        context.flush()
    }

    private func send(_ data: NIOAny, _ promise: EventLoopPromise<Void>?, context: ChannelHandlerContext) {
        switch unwrapOutboundIn(data) {
        case .head(let head) where (100..<200).contains(head.status.code):
            context.write(data, promise: promise)
        case .head(var head):
            if let (outbound, exchange) = exchanges.sentHead(status: Int(head.status.code)) {
                head.headers.replaceOrAdd(name: RequestIDHeader.name, value: exchange.requestID.description)
                if outbound == .closeAfterwards {
                    headSaidClose = true
                    head.headers.replaceOrAdd(name: "Connection", value: "close")
                }
            }
            corkIfLarge(head, context: context)
            stallGuard?.responseBegan()
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body(let body):
            exchanges.sentBody(bytes: body.readableBytes)
            context.write(data, promise: promise)
        case .end:
            endResponse(context: context, data: data, promise: promise)
        }
    }

    private func corkIfLarge(_ head: HTTPResponseHead, context: ChannelHandlerContext) {
        guard let length = head.headers.first(name: "content-length").flatMap({ Int64($0) }),
            length >= Self.corkedBytesMin
        else { return }
        isCorked = true
        Cork.set(true, on: context.channel)
    }

    private func endResponse(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let ended = exchanges.sentEnd(headSaidClose: headSaidClose)
        if let (_, exchange) = ended { observer.ended(exchange, on: context.channel) }
        stallGuard?.responseEnded()
        guard isCorked || headSaidClose else {
            context.write(data, promise: promise)
            return
        }
        let sent = promise ?? context.eventLoop.makePromise()
        let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
        sent.futureResult.whenComplete { _ in handler.value.responseLeft() }
        context.write(data, promise: sent)
    }

    private func responseLeft() {
        guard let context else { return }
        if isCorked {
            isCorked = false
            Cork.set(false, on: context.channel)
        }
        guard headSaidClose, exchanges.isLingering else { return }
        context.close(mode: .output, promise: nil)
        let channel = context.channel
        lingering = context.eventLoop.scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
    }

    // MARK: Called by `Connection`, on the event loop

    func sendContinue() {
        guard let context, exchanges.takeContinue() else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .continue)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }

    func write(_ window: FileWindow) -> EventLoopFuture<Void> {
        guard let context else {
            window.release()
            return inputClosed.futureResult.eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel)
        }
        exchanges.sentBody(bytes: window.region.readableBytes)
        let sent = context.eventLoop.makePromise(of: Void.self)
        let lent = NIOLoopBound(window, eventLoop: context.eventLoop)
        sent.futureResult.whenComplete { _ in lent.value.release() }
        context.writeAndFlush(wrapOutboundOut(.body(.fileRegion(window.region))), promise: sent)
        return sent.futureResult
    }
}

/// The header that carries a request's id, in answers and in log lines.
package enum RequestIDHeader {
    package static let name = "X-Request-Id"
}
