// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Hashing
import OCI

/// One HTTP/1.1 connection that shows what other clients hide: interim answers, answers before the request has ended,
/// short bodies, FIN or RST. Runs on a thread of its own, since its calls block.
actor HTTPConnection {
    struct NotHTTP: Error {}

    nonisolated let endpoint: Endpoint
    private nonisolated let thread: ThreadExecutor
    private let socket: DeadlineSocket
    private var input: [UInt8] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - source: The address to come from; `nil`: the system's choice.
    ///   - limit: For the whole life of the connection.
    ///   - receiveBufferBytes: Small, if the test needs a sender that has to wait for its reader.
    init(
        to endpoint: Endpoint, from source: String? = nil, limit: Duration = .seconds(60),
        receiveBufferBytes: Int32? = nil
    ) throws {
        self.endpoint = endpoint
        thread = ThreadExecutor(label: "http \(endpoint.authority)")
        socket = try DeadlineSocket(
            to: endpoint, from: source, limit: limit, receiveBufferBytes: receiveBufferBytes)
    }

    // MARK: Sending

    func send(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try socket.send($0) }
    }

    /// Sends the head, and the body with it if there is one.
    func send(_ request: HTTPRequest) throws {
        try send(request.head(for: endpoint) + request.body)
    }

    /// Sends the head alone.
    func sendHead(of request: HTTPRequest) throws {
        try send(request.head(for: endpoint))
    }

    /// One chunk of the chunked coding; an empty one ends the body.
    func sendChunk(_ bytes: [UInt8]) throws {
        try send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8))
    }

    /// Sends the same bytes again and again until enough were sent, or the server takes no more.
    /// - Returns: How many the kernel took.
    func pour(_ bytes: [UInt8], totalBytes: Int) throws -> Int {
        var sent = 0
        while sent < totalBytes {
            do {
                try send(bytes)
                sent += bytes.count
            } catch DeadlineSocket.Failure.closed(let partBytes) {
                return sent + partBytes
            }
        }
        return sent
    }

    func finishSending() {
        socket.finishSending()
    }

    /// Throws the connection away, so that the server sees RST.
    func abort() {
        socket.abort()
    }

    // MARK: Receiving

    /// Whether the server has said anything, or has closed.
    var hasInput: Bool { !input.isEmpty || socket.hasInput() }

    /// The next head, interim ones included.
    func readHead() throws -> AnswerHead {
        while true {
            if let end = input.firstRange(of: Array("\r\n\r\n".utf8)) {
                guard let head = AnswerHead(String(decoding: input[..<end.lowerBound], as: UTF8.self)) else {
                    throw NotHTTP()
                }
                input.removeFirst(end.upperBound)
                return head
            }
            guard case .bytes = try fill() else { throw NotHTTP() }
        }
    }

    /// The body that belongs to a head, as far as it comes.
    /// - Parameter isKept: Whether to return the bytes, or only their number and digest.
    func readBody(of head: AnswerHead, method: String = "GET", isKept: Bool = true) throws -> Answer {
        var sink = BodySink(isKept: isKept)
        let ending: Answer.Ending =
            switch head.bodyLength(method: method) {
            case .none: .complete
            case .bytes(let count): try readBytes(count, into: &sink)
            case .chunked: try readChunks(into: &sink)
            case .untilEnd: try readBytes(.max, into: &sink) == .reset ? .reset : .complete
            }
        return sink.answer(head, ending)
    }

    /// Reads this many bytes of a body, for tests that stop in the middle.
    func readPart(bytes count: Int) throws -> [UInt8] {
        var sink = BodySink(isKept: true)
        _ = try readBytes(count, into: &sink)
        return sink.bytes
    }

    /// The final answer to a request that was sent.
    func readAnswer(to method: String = "GET", isKept: Bool = true) throws -> Answer {
        var head = try readHead()
        while head.status < 200 { head = try readHead() }
        return try readBody(of: head, method: method, isKept: isKept)
    }

    /// Sends a request and reads its answer. A server that answers early and closes is heard all the same.
    func answer(to request: HTTPRequest, isKept: Bool = true) throws -> Answer {
        do {
            try send(request)
        } catch DeadlineSocket.Failure.closed {
            // The answer may have come before.
        }
        return try readAnswer(to: request.method, isKept: isKept)
    }

    /// What ends the stream; bytes before that are thrown away.
    func readEnd() throws -> DeadlineSocket.Received {
        while true {
            input.removeAll(keepingCapacity: true)
            let received = try fill()
            if case .bytes = received { continue }
            return received
        }
    }

    private func readBytes(_ count: Int, into sink: inout BodySink) throws -> Answer.Ending {
        let end = sink.byteCount + min(count, .max - sink.byteCount)
        while true {
            let taken = min(input.count, end - sink.byteCount)
            if taken == input.count {
                sink.append(input)
                input.removeAll(keepingCapacity: true)
            } else {
                sink.append(Array(input[..<taken]))
                input.removeFirst(taken)
            }
            if sink.byteCount == end { return .complete }
            switch try fill() {
            case .bytes: continue
            case .fin: return .fin
            case .reset: return .reset
            }
        }
    }

    private func readChunks(into sink: inout BodySink) throws -> Answer.Ending {
        while true {
            guard let line = try readLine() else { return .fin }
            guard let count = Int(line.prefix { $0 != ";" }, radix: 16) else { throw NotHTTP() }
            let ending = try readBytes(count, into: &sink)
            guard ending == .complete else { return ending }
            guard try readLine() == "" else { return .fin }
            if count == 0 { return .complete }
        }
    }

    private func readLine() throws -> String? {
        while true {
            if let end = input.firstRange(of: Array("\r\n".utf8)) {
                let line = String(decoding: input[..<end.lowerBound], as: UTF8.self)
                input.removeFirst(end.upperBound)
                return line
            }
            guard case .bytes = try fill() else { return nil }
        }
    }

    private func fill() throws -> DeadlineSocket.Received {
        try withUnsafeTemporaryAllocation(byteCount: 256 * 1024, alignment: 16) { buffer in
            let received = try socket.receive(into: buffer)
            if case .bytes(let count) = received {
                input.append(contentsOf: buffer[..<count].bindMemory(to: UInt8.self))
            }
            return received
        }
    }
}

/// Runs an actor on a queue that may block.
private final class ThreadExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(label: String) { queue = DispatchQueue(label: label) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}

private struct BodySink {
    let isKept: Bool
    private(set) var bytes: [UInt8] = []
    private(set) var byteCount = 0
    private var hash = StreamingHash(.sha256)

    init(isKept: Bool) { self.isKept = isKept }

    mutating func append(_ part: [UInt8]) {
        byteCount += part.count
        hash.update(part)
        if isKept { bytes += part }
    }

    func answer(_ head: AnswerHead, _ ending: Answer.Ending) -> Answer {
        Answer(head: head, body: bytes, bodyBytes: byteCount, digest: hash.finalized(), ending: ending)
    }
}

/// One request on a connection of its own.
func ask(
    _ endpoint: Endpoint, _ request: HTTPRequest, isKept: Bool = true, limit: Duration = .seconds(60)
) async throws -> Answer {
    try await HTTPConnection(to: endpoint, limit: limit).answer(to: request, isKept: isKept)
}
