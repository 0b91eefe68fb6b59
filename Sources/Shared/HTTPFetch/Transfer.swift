// SPDX-License-Identifier: Apache-2.0

import CLibcurl

/// One running request on the fetcher's thread: between libcurl's callbacks and the handler.
///
/// States: running → finished (libcurl is done, the last slab may wait for the handler) → ended.
final class Transfer {
    let id: TransferID
    let easy: EasyHandle
    /// When the head must be complete.
    let headDeadline: ContinuousClock.Instant?

    private let request: FetchRequest
    private let handler: any FetchHandler
    private var reader: HeadReader
    private var bodyBytesExpected: Int64?
    private var takenBytes: Int64 = 0
    /// Why our side gave up. It explains the error that libcurl reports after a callback refused.
    private var refusal: FetchError?
    private var outcome: Result<Void, FetchError>?
    /// Of a connection that was not made since the request wants public addresses only.
    private var refusedAddress: PublicAddress.Kind?

    init(_ start: Mailbox.Start, easy: EasyHandle, headLimits: HeadReader.Limits, now: ContinuousClock.Instant) {
        id = start.id
        request = start.request
        handler = start.handler
        self.easy = easy
        reader = HeadReader(limits: headLimits)
        headDeadline = start.request.firstByteTimeout.map { now + $0 }
    }

    var isHeadComplete: Bool { reader.isComplete }

    /// Sets the options and points libcurl's callbacks at this object, which must then outlive the transfer.
    func prepare(_ configuration: Fetcher.Configuration) throws(FetchError) {
        try easy.prepare(
            request,
            configuration,
            context: Unmanaged.passUnretained(self).toOpaque(),
            socketFunction: { context, _, address in
                guard let context, let address, Transfer.from(context).accepts(address) else { return CURL_SOCKET_BAD }
                return depot_curl_open_socket(address)
            },
            headerFunction: { bytes, unit, count, context in
                guard let context, let bytes else { return 0 }
                let line = UnsafeRawBufferPointer(start: bytes, count: unit * count)
                return Transfer.from(context).received(line) ? line.count : 0
            },
            roomFunction: { context, capacity in
                guard let context, let capacity, let room = Transfer.from(context).handler.fetchRoom() else {
                    return nil
                }
                capacity.pointee = room.count
                return room.baseAddress?.assumingMemoryBound(to: UInt8.self)
            },
            bodyFunction: { context, bytes, count in
                guard let context else { return FetchFlow.abort.rawValue }
                let slab = UnsafeRawBufferPointer(start: bytes, count: count)
                return Transfer.from(context).receivedBody(slab).rawValue
            }
        )
    }

    /// Offers the gathered bytes to the handler again after it paused, and lets libcurl read on.
    func resume() {
        guard easy.sink.pointee.is_blocked else { return }
        easy.sink.pointee.is_blocked = false
        _ = depot_curl_sink_flush(easy.sink)
        guard easy.sink.pointee.is_paused, !easy.sink.pointee.is_blocked, outcome == nil else { return }
        easy.sink.pointee.is_paused = false
        // Brings the bytes that libcurl held back, at once, through the same callbacks. If they abort the transfer,
        // `refusal` is set, and the loop ends it.
        let code = curl_easy_pause(easy.raw, CURLPAUSE_CONT)
        if code != CURLE_OK, refusal == nil { refusal = FetchError(code, easy.failureText) }
    }

    /// Hands over what was gathered, so that small answers and first bytes do not wait for a full slab. A room of the
    /// handler's own is handed over full, or at the end.
    func flush() {
        let isOwnRoom = easy.sink.pointee.room != easy.sink.pointee.slab
        if !isOwnRoom || outcome != nil { _ = depot_curl_sink_flush(easy.sink) }
    }

    /// libcurl is done with the transfer.
    func finished(_ code: CURLcode) {
        if let refusal {
            outcome = .failure(refusal)
        } else if code != CURLE_OK {
            outcome = .failure(failure(code))
        } else if !reader.isComplete {
            outcome = .failure(FetchError(.protocolViolation, "the answer has no final head"))
        } else if let bodyBytesExpected, takenBytes + Int64(easy.sink.pointee.count) < bodyBytesExpected {
            outcome = .failure(FetchError(.closedEarly, "the body ended before \(bodyBytesExpected) bytes"))
        } else {
            outcome = .success(())
        }
    }

    /// The result, once there is one and the handler has all bytes that it will get.
    func result(now: ContinuousClock.Instant) -> Result<Void, FetchError>? {
        if let refusal { return .failure(refusal) }
        if let outcome { return easy.sink.pointee.count == 0 ? outcome : nil }
        if !reader.isComplete, let headDeadline, now >= headDeadline {
            return .failure(FetchError(.timeout, "no answer in time"))
        }
        return nil
    }

    func end(_ result: Result<Void, FetchError>) { handler.fetchEnded(result) }

    private func failure(_ code: CURLcode) -> FetchError {
        // libcurl has a limit of its own for one header line and reports it as a lack of memory.
        if code == CURLE_OUT_OF_MEMORY, !reader.isComplete {
            return FetchError(.tooLarge, "a line of the answer's head is too long", curlCode: Int(code.rawValue))
        }
        // libcurl went on to the host's other addresses, if there were any, so none of them is both public and there.
        if code == CURLE_COULDNT_CONNECT, let refusedAddress {
            return FetchError(.connect, "the host has \(refusedAddress.words)", curlCode: Int(code.rawValue))
        }
        return FetchError(code, easy.failureText)
    }

    /// Judges an address that libcurl is about to connect to.
    private func accepts(_ address: UnsafePointer<curl_sockaddr>) -> Bool {
        let bytes = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { buffer in
            Array(buffer.prefix(depot_curl_copy_address(address, buffer.baseAddress)))
        }
        let kind = PublicAddress.kind(of: bytes)
        if kind != .isPublic { refusedAddress = kind }
        return kind == .isPublic
    }

    /// - Returns: Whether the transfer goes on.
    private func received(_ line: UnsafeRawBufferPointer) -> Bool {
        do throws(FetchError) {
            guard case .complete(let head) = try reader.take(line) else { return true }
            bodyBytesExpected = try head.bodyBytes(for: request)
            if handler.fetchReceivedHead(head) { return true }
            refusal = FetchError(.cancelled, "the handler refused the answer's head")
        } catch {
            refusal = error
        }
        return false
    }

    private func receivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        let total = takenBytes + Int64(bytes.count)
        if let bodyBytesExpected, total > bodyBytesExpected {
            refusal = FetchError(.protocolViolation, "the body goes on after \(bodyBytesExpected) bytes")
        } else if total > request.bodyBytesMax {
            refusal = FetchError(.tooLarge, "the body is above the limit of \(request.bodyBytesMax) bytes")
        }
        guard refusal == nil else { return .abort }
        let flow = handler.fetchReceivedBody(bytes)
        switch flow {
        case .proceed: takenBytes = total
        case .pause: break
        case .abort: refusal = FetchError(.cancelled, "the handler refused the answer's body")
        }
        return flow
    }

    private static func from(_ context: UnsafeMutableRawPointer) -> Transfer {
        Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    }
}
