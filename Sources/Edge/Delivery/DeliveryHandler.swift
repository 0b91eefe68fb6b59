// SPDX-License-Identifier: Apache-2.0

import Disk
import Dispatch
import EdgeFill
import Grammar
import HTTPServer
package import NIOCore
import SignedURL
import Telemetry

/// The edge's data plane: one per connection, on its event loop, without a task hop, and with nothing between it and the
/// socket's bytes but TLS. It reads the request, checks the link, asks the reader for verified windows, and sends them by
/// sendfile. What is not on disk yet arrives by the reader's wake-ups.
///
/// A stream that cannot go on ends with FIN before `Content-Length`, never with a clean short body: containerd and
/// docker resume from there by themselves (`Docs/architecture.md`, "Broken streams").
package final class DeliveryHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = IOData

    /// What a client may send ahead of its answers, in bytes.
    private static let inputBytesMax = 2 * RequestReader.headBytesMax
    /// Bodies up to here are copied and leave with their head in one writev.
    private static let copiedBytesMax: Int64 = 64 * 1024
    /// Bytes of one encryption under TLS, where a file region may not go.
    private static let encryptedBytes: Int64 = 256 * 1024
    private static let idleTimeout = TimeAmount.seconds(75)
    private static let lingerTime = TimeAmount.seconds(2)

    private struct Running {
        let exchange: DeliveryHead.Exchange
        let method: String
        /// With its query: the access record drops that.
        let target: String
        let startNanoseconds: UInt64
        var link: Link?
        var part: Range<Int64>?
        var reader: BlobReader?
        var transfer: Transfer?
        var headIsSent = false
        var status = 0
        var sentBytes: Int64 = 0
    }

    private let environment: DeliveryEnvironment
    private var context: ChannelHandlerContext?
    private var running: Running?
    /// Of `running`; moves with each request.
    private var requestNumber: UInt64 = 0
    /// What has arrived and is not read yet.
    private var input = ByteBuffer()
    private var isReading = false
    private var waker: RequestWaker?
    private var heads = DeliveryHead()
    private var isCorked = false
    private var inputIsClosed = false
    private var isEnding = false
    private var isPumping = false
    private var stallGuard: StallGuard?
    private var idleTimer: Scheduled<Void>?
    private var idleSince = NIODeadline.now()
    private var windows: WindowWatch?
    private var isDraining = false

    package init(environment: DeliveryEnvironment) { self.environment = environment }

    // MARK: Connection

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        waker = RequestWaker(eventLoop: context.eventLoop, handler: NIOLoopBound(self, eventLoop: context.eventLoop))
        windows = WindowWatch(eventLoop: context.eventLoop) {
            [channel = context.channel, metrics = environment.metrics] in
            metrics.brokenStreams.add(1)
            channel.close(promise: nil)
        }
        stallGuard = StallGuard(channel: context.channel)
        startIdleTimer()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        abandon()
        waker = nil
        self.context = nil
    }

    package func channelInactive(context: ChannelHandlerContext) {
        abandon()
        context.fireChannelInactive()
    }

    private func abandon() {
        stallGuard?.stop()
        idleTimer?.cancel()
        windows?.stop()
        if let running { record(running) }
        running = nil
        input = ByteBuffer()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is Connections.DrainEvent {
            isDraining = true
            if running == nil { context.close(promise: nil) }
        } else if event as? ChannelEvent == .inputClosed {
            inputIsClosed = true
            // A client that left while it waits for a fill loses nothing more; one that only closed its sending side
            // still gets the response that is on its way.
            if running?.transfer?.isWaiting ?? true { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { readRequests() }
        context.fireChannelWritabilityChanged()
    }

    private func startIdleTimer() {
        guard let context else { return }
        let channel = context.channel
        let deadline = (running == nil ? idleSince : .now()) + Self.idleTimeout
        idleTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            if running == nil && NIODeadline.now() >= idleSince + Self.idleTimeout {
                channel.close(promise: nil)
            } else {
                startIdleTimer()
            }
        }
    }

    // MARK: Requests

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isEnding else { return }
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
        readRequests()
        if input.readableBytes > Self.inputBytesMax { context.close(promise: nil) }
    }

    /// One request after the other, each when the one before is answered and its bytes have left for the socket, or
    /// nearly so: a client that never reads gets no more than what is buffered for it.
    private func readRequests() {
        guard !isReading else { return }
        isReading = true
        defer { isReading = false }
        while let context, running == nil, !isEnding, input.readableBytes > 0, context.channel.isWritable {
            switch input.withUnsafeReadableBytes({ RequestReader.read($0) }) {
            case .incomplete: return
            case .request(let request, let byteCount):
                input.moveReaderIndex(forwardBy: byteCount)
                // The socket's buffer goes back before it is needed for the next read.
                if input.readableBytes == 0 { input = ByteBuffer() }
                begin(request)
            case .malformed(let fault): refuse(fault)
            }
        }
    }

    private func refuse(_ fault: RequestReader.Fault) {
        running = Running(
            exchange: DeliveryHead.Exchange(
                requestID: RequestID(), keepsAlive: false, isHTTP10: false, nowSeconds: HTTPDate.now),
            method: "-", target: "-", startNanoseconds: DispatchTime.now().uptimeNanoseconds)
        let (status, message) =
            switch fault {
            case .syntax: (400, "malformed request")
            case .targetTooLong: (414, "the target is too long")
            case .tooLarge: (431, "the header is too large")
            case .version: (505, "HTTP/1.1 is spoken here")
            }
        answer(DeliveryPlan.Refusal(status: status, message: message, closes: true))
    }

    private func begin(_ request: BlobRequest) {
        let now = HTTPDate.now
        let plan = DeliveryPlan(request, verifier: environment.verifier(), now: now)
        requestNumber &+= 1
        running = Running(
            exchange: DeliveryHead.Exchange(
                requestID: RequestID(),
                keepsAlive: request.keepsAlive && !isDraining && !inputIsClosed && !plan.closes,
                isHTTP10: request.isHTTP10,
                nowSeconds: now),
            method: request.method.name,
            target: request.target,
            startNanoseconds: DispatchTime.now().uptimeNanoseconds)
        switch plan {
        case .refuse(let refusal):
            if refusal.status == 403 { environment.refused(request.target) }
            answer(refusal)
        case .notModified(let link):
            answer(status: 304, contentLength: nil) { DeliveryHead.writeBlobFields(link, part: nil, into: &$0) }
        case .unsatisfiable(let link):
            answer(status: 416, contentLength: 0) {
                $0.writeString("Content-Range: \(ContentRange.unsatisfied(sizeBytes: link.sizeBytes))\r\n")
            }
        case .exists(let link, _):
            running?.link = link
            running?.reader = environment.source.reader(for: link, target: request.target)
            askWhetherExists()
        case .send(let link, let range, let isPart):
            running?.link = link
            running?.part = isPart ? range : nil
            running?.transfer = Transfer(range: range)
            running?.reader = environment.source.reader(for: link, target: request.target)
            stallGuard?.responseBegan()
            pump()
        }
    }

    // MARK: Answers without a body of the blob

    private func answer(_ refusal: DeliveryPlan.Refusal) {
        let text = refusal.message + "\n"
        answer(status: refusal.status, contentLength: Int64(text.utf8.count), body: text) {
            $0.writeStaticString("Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n")
            if let reason = refusal.reason { $0.writeString("Depot-Reason: \(reason)\r\n") }
            if let allow = refusal.allow { $0.writeString("Allow: \(allow)\r\n") }
            if let seconds = refusal.retryAfter { $0.writeString("Retry-After: \(seconds)\r\n") }
        }
    }

    private func answer(_ failure: BlobReader.Failure) {
        switch failure {
        case .unknownBlob: answer(DeliveryPlan.Refusal(status: 404, message: "blob unknown"))
        case .unavailable:
            answer(DeliveryPlan.Refusal(status: 503, message: "no parent could be reached", retryAfter: 1))
        case .corrupt: answer(DeliveryPlan.Refusal(status: 502, message: "the parents sent wrong bytes"))
        case .io: answer(DeliveryPlan.Refusal(status: 500, message: "the cache could not be read"))
        }
    }

    private func answer(
        status: Int,
        contentLength: Int64?,
        body: String = "",
        fields: (inout ByteBuffer) -> Void
    ) {
        guard let context, var running else { return }
        var buffer = context.channel.allocator.buffer(capacity: 512 + body.utf8.count)
        heads.write(
            status: status, contentLength: contentLength, exchange: running.exchange, into: &buffer, fields: fields)
        if running.method != "HEAD" { buffer.writeString(body) }
        running.status = status
        running.headIsSent = true
        self.running = running
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(buffer)), promise: nil)
        finish()
    }

    private func askWhetherExists() {
        guard let link = running?.link, let reader = running?.reader else { return }
        switch reader.exists(wake: wake) {
        case .ready:
            answer(status: 200, contentLength: link.sizeBytes) {
                DeliveryHead.writeBlobFields(link, part: nil, into: &$0)
            }
        case .later: break
        case .failed(let failure): answer(failure)
        }
    }

    /// For a reader that is not ready: comes back to this request, if it still runs.
    private var wake: @Sendable () -> Void {
        guard let waker else { return {} }
        return { [requestNumber] in waker.wake(requestNumber) }
    }

    func woken(_ number: UInt64) {
        guard running != nil, number == requestNumber else { return }
        if running?.transfer == nil {
            askWhetherExists()
        } else {
            running?.transfer?.woken()
            pump()
        }
    }

    // MARK: Bodies

    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while let transfer = running?.transfer, let reader = running?.reader {
            switch transfer.next {
            case .wait:
                return
            case .finished:
                finish()
                return
            case .ask(let offset, let end, let most):
                let most = environment.isTLS ? min(most, Self.encryptedBytes) : most
                switch reader.next(from: offset, upTo: end, atMost: most, wake: wake) {
                case .ready(let window):
                    send(window)
                case .later:
                    running?.transfer?.toldToWait()
                    if inputIsClosed { context?.close(promise: nil) }
                    return
                case .failed(let failure):
                    breakOff(failure)
                    return
                }
            }
        }
    }

    private func send(_ window: BlobReader.Window) {
        switch window {
        case .bytes(let bytes):
            guard let context else { return }
            var buffer = context.channel.allocator.buffer(capacity: bytes.count + 512)
            if running?.headIsSent == false { writeBodyHead(into: &buffer) }
            buffer.writeBytes(bytes)
            write(buffer: buffer, bodyBytes: Int64(bytes.count))
        case .file(let file, let range):
            let byteCount = range.upperBound - range.lowerBound
            if environment.isTLS || (byteCount <= Self.copiedBytesMax && running?.headIsSent == false) {
                sendCopy(of: file, range: range)
            } else {
                sendRegion(of: file, range: range)
            }
        }
    }

    /// The pages are resident, so this read does not wait for the disk.
    private func sendCopy(of file: File, range: Range<Int64>) {
        guard let context else { return }
        let byteCount = Int(range.upperBound - range.lowerBound)
        var buffer = context.channel.allocator.buffer(capacity: byteCount + 512)
        if running?.headIsSent == false { writeBodyHead(into: &buffer) }
        let readCount = try? buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: byteCount) { bytes in
            try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<byteCount]), at: range.lowerBound)
        }
        guard readCount == byteCount else {
            breakOff(.io)
            return
        }
        write(buffer: buffer, bodyBytes: Int64(byteCount))
    }

    private func write(buffer: ByteBuffer, bodyBytes: Int64) {
        guard let context else { return }
        running?.sentBytes += bodyBytes
        if bodyBytes <= Self.copiedBytesMax && running?.transfer?.isRest(bodyBytes) ?? false {
            // Whether it has left matters to the next request only, and that waits for a writable channel.
            context.writeAndFlush(wrapOutboundOut(.byteBuffer(buffer)), promise: nil)
            running?.transfer?.copied(bodyBytes)
            return
        }
        running?.transfer?.began(window: bodyBytes, now: Self.now)
        let left = context.eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenComplete { [self] result in windowLeft(result) }
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(buffer)), promise: left)
    }

    private func sendRegion(of file: File, range: Range<Int64>) {
        guard let context else { return }
        if running?.headIsSent == false {
            isCorked = true
            Cork.set(true, on: context.channel)
            var head = context.channel.allocator.buffer(capacity: 512)
            writeBodyHead(into: &head)
            context.write(wrapOutboundOut(.byteBuffer(head)), promise: nil)
        }
        let byteCount = range.upperBound - range.lowerBound
        running?.transfer?.began(window: byteCount, now: Self.now)
        running?.sentBytes += byteCount
        let window = FileWindow(file: file, range: range)
        windows?.began(file, end: range.upperBound)
        let left = context.eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenComplete { [self] result in
            window.release()
            windows?.left()
            windowLeft(result)
        }
        context.writeAndFlush(wrapOutboundOut(.fileRegion(window.region)), promise: left)
    }

    private func writeBodyHead(into buffer: inout ByteBuffer) {
        guard var running, let link = running.link, let transfer = running.transfer else { return }
        running.headIsSent = true
        running.status = running.part == nil ? 200 : 206
        self.running = running
        let start = running.part?.lowerBound ?? 0
        let part = running.part
        heads.write(
            status: running.status, contentLength: transfer.end - start, exchange: running.exchange, into: &buffer
        ) { DeliveryHead.writeBlobFields(link, part: part, into: &$0) }
    }

    private static var now: Duration { .nanoseconds(Int64(clamping: DispatchTime.now().uptimeNanoseconds)) }

    private func windowLeft(_ result: Result<Void, any Error>) {
        running?.transfer?.windowLeft(now: Self.now)
        switch result {
        case .success: pump()
        case .failure: context?.close(promise: nil)
        }
    }

    // MARK: Ends

    /// The response is complete: the next request of this connection, or its end.
    private func finish() {
        guard let context, let ended = running else { return }
        running = nil
        idleSince = .now()
        stallGuard?.responseEnded()
        if isCorked {
            isCorked = false
            Cork.set(false, on: context.channel)
        }
        record(ended)
        guard ended.exchange.keepsAlive, !isDraining, !inputIsClosed else {
            endConnection()
            return
        }
        readRequests()
    }

    /// No verified byte can follow. Before the head this is an answer; after it, FIN before `Content-Length`.
    private func breakOff(_ failure: BlobReader.Failure) {
        guard let running else { return }
        guard running.headIsSent else {
            answer(failure)
            return
        }
        environment.metrics.brokenStreams.add(1)
        record(running)
        self.running = nil
        endConnection()
    }

    /// Everything written leaves, then FIN; input that is still unread would turn a plain close into a reset.
    private func endConnection() {
        guard let context, !isEnding else { return }
        isEnding = true
        input = ByteBuffer()
        if isCorked { Cork.set(false, on: context.channel) }
        let channel = context.channel
        let eventLoop = context.eventLoop
        let flushed = eventLoop.makePromise(of: Void.self)
        flushed.futureResult.whenComplete { _ in
            channel.close(mode: .output, promise: nil)
            eventLoop.scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer())), promise: flushed)
    }

    private func record(_ ended: Running) {
        ended.reader?.close()
        environment.metrics.answered(status: ended.status)
        environment.metrics.servedBytes.add(Int(ended.sentBytes))
        if let reader = ended.reader, ended.transfer != nil {
            (reader.isHit ? environment.metrics.hits : environment.metrics.misses).add(1)
        }
        environment.accessLog?.log(
            AccessRecord(
                method: ended.method,
                target: ended.target,
                status: ended.status,
                bytes: ended.sentBytes,
                duration: .nanoseconds(
                    Int64(clamping: DispatchTime.now().uptimeNanoseconds &- ended.startNanoseconds)),
                remote: context?.channel.remoteAddress?.ipAddress ?? "-",
                requestID: ended.exchange.requestID,
                outcome: ended.reader.map { $0.isHit ? "hit" : "miss" }))
    }
}

extension DeliveryPlan {
    fileprivate var closes: Bool {
        if case .refuse(let refusal) = self { refusal.closes } else { false }
    }
}
