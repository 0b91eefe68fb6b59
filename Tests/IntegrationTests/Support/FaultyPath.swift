// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The path between an edge and its origin, as bad as a test wants it: silent, slow, down now and then, or with answers
/// that stop or end in the middle. Every byte that it passes on is the one that was sent.
final class FaultyPath: OriginProxy, @unchecked Sendable {
    // SAFETY: `state` is touched only while `condition` is locked.

    /// What becomes of answers that carry a blob's bytes.
    enum BlobFault: Equatable {
        /// After so many bytes of the answer nothing more comes, and the connection stays open.
        case stall(afterBytes: Int)
        /// After so many bytes of the answer the connection ends.
        case cut(afterBytes: Int)

        var afterBytes: Int {
            switch self {
            case .stall(let count), .cut(let count): count
            }
        }
    }

    private struct State {
        var target: Endpoint?
        var isClosed = false
        var isSilent = false
        var isDown = false
        var bytesPerSecond: Int?
        /// When the next bytes may pass, under a rate.
        var freeAt = ContinuousClock.now
        var fault: BlobFault?
        var faultCount = 0
        var connections: [ObjectIdentifier: Connection] = [:]
        var blobBytes = 0
        var blobRequestCount = 0
    }

    private final class Connection {
        let client: Int32
        let server: Int32
        /// Whether the last request is for a blob, and what has come of its answer, head included.
        var isForBlob = false
        var answerBytes = 0
        var isStalled = false

        init(_ client: Int32, _ server: Int32) {
            self.client = client
            self.server = server
        }
    }

    /// Bytes that pass at once: under a rate, so few that streams share it.
    private static let partBytes = 16 * Int.kibibyte

    private let listener: LoopbackListener
    private let condition = NSCondition()
    private var state = State()

    /// Listens at once.
    init() throws {
        listener = try LoopbackListener()
        listener.start(for: self) { $0.join($1) }
    }

    var url: String { "http://\(listener.endpoint.authority)" }

    func forward(to endpoint: Endpoint) { change { $0.target = endpoint } }

    /// Ends all connections, and takes no more.
    func close() {
        change { state in
            state.isClosed = true
            Self.endAll(state)
        }
        listener.close()
    }

    // MARK: Faults

    /// Nothing passes, in either direction; connections are taken and stay open.
    func beSilent(_ isSilent: Bool) { change { $0.isSilent = isSilent } }

    /// All that comes from the origin shares this rate.
    func limit(bytesPerSecond: Int?) { change { $0.bytesPerSecond = bytesPerSecond } }

    /// From now on, this many answers with bytes of blobs.
    func spoil(_ fault: BlobFault?, count: Int = 1) {
        change { state in
            state.fault = fault
            state.faultCount = count
        }
    }

    /// Whether all answers that were to be spoilt are.
    var isSpoilt: Bool { locked { $0.faultCount == 0 } }

    /// Down and up again in turn, for so long each, until `body` ends: down means that connections are ended and refused.
    func flapping(every period: Duration, _ body: () async throws -> Void) async throws {
        let end = Ended()
        let seconds = Double(period.components.seconds) + Double(period.components.attoseconds) / 1e18
        Thread.detachNewThread { [self] in
            var isDown = false
            while !end.wait(seconds: seconds) {
                isDown.toggle()
                change { state in
                    state.isDown = isDown
                    if isDown { Self.endAll(state) }
                }
            }
            change { $0.isDown = false }
        }
        defer { end.signal() }
        try await body()
    }

    private final class Ended: Sendable {
        private let semaphore = DispatchSemaphore(value: 0)
        func signal() { semaphore.signal() }
        func wait(seconds: Double) -> Bool { semaphore.wait(timeout: .now() + seconds) == .success }
    }

    // MARK: Counts

    /// Bytes of answers to requests for blobs, heads included.
    var blobBytes: Int { locked { $0.blobBytes } }
    var blobRequestCount: Int { locked { $0.blobRequestCount } }

    // MARK: Relay

    private func locked<Value>(_ body: (inout State) -> Value) -> Value {
        condition.lock()
        defer { condition.unlock() }
        return body(&state)
    }

    private func change(_ body: (inout State) -> Void) {
        locked(body)
        condition.broadcast()
    }

    private static func endAll(_ state: State) {
        for connection in state.connections.values {
            shutdown(connection.client, Int32(SHUT_RDWR))
            shutdown(connection.server, Int32(SHUT_RDWR))
        }
    }

    private func join(_ client: Int32) {
        let target = locked { $0.isDown || $0.isClosed ? nil : $0.target }
        guard let server = target.flatMap(connectedSocket(to:)) else {
            Glibc.close(client)
            return
        }
        let connection = Connection(client, server)
        let id = ObjectIdentifier(connection)
        locked { $0.connections[id] = connection }
        let openSides = OpenSides(descriptors: [client, server])
        let ended: @Sendable () -> Void = { [self] in
            // First, so that nobody shuts down a descriptor that is somebody else's by now.
            locked { $0.connections[id] = nil }
            openSides.ended()
        }
        Thread.detachNewThread { [self] in
            relay(from: client, to: server) { bytes in request(bytes, on: id) }
            ended()
        }
        Thread.detachNewThread { [self] in
            relay(from: server, to: client) { bytes in answer(bytes.count, on: id) }
            ended()
        }
    }

    /// - Parameter pass: How many of these bytes may go on now, after as much waiting as it takes; 0 ends the connection.
    private func relay(from source: Int32, to destination: Int32, pass: (ArraySlice<UInt8>) -> Int) {
        var buffer = [UInt8](repeating: 0, count: 64 * .kibibyte)
        copying: while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { break }
            var rest = buffer[..<count]
            while !rest.isEmpty {
                let passed = pass(rest)
                let sent = rest.prefix(passed).withUnsafeBytes {
                    send(destination, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard passed > 0, sent > 0 else { break copying }
                rest = rest.dropFirst(sent)
            }
        }
        shutdown(destination, Int32(SHUT_WR))
        shutdown(source, Int32(SHUT_RD))
    }

    /// Bytes of a request; one that begins in the middle of what was read is none of ours, since edges do not pipeline.
    private func request(_ bytes: ArraySlice<UInt8>, on id: ObjectIdentifier) -> Int {
        let isNew = ["GET ", "POST ", "HEAD "].contains { bytes.starts(with: $0.utf8) }
        condition.lock()
        defer { condition.unlock() }
        while state.isSilent && !state.isClosed { condition.wait() }
        guard let connection = state.connections[id], !state.isClosed, !state.isDown else { return 0 }
        if isNew {
            connection.isForBlob = bytes.starts(with: "GET /b/v1/".utf8)
            connection.answerBytes = 0
            if connection.isForBlob { state.blobRequestCount += 1 }
        }
        return bytes.count
    }

    private func answer(_ count: Int, on id: ObjectIdentifier) -> Int {
        condition.lock()
        defer { condition.unlock() }
        while true {
            guard let connection = state.connections[id], !state.isClosed, !state.isDown else { return 0 }
            if state.isSilent || connection.isStalled {
                condition.wait()
                continue
            }
            var part = min(count, Self.partBytes)
            if connection.isForBlob, let fault = state.fault, state.faultCount > 0 {
                part = min(part, fault.afterBytes - connection.answerBytes)
                if part <= 0 {
                    state.faultCount -= 1
                    guard case .stall = fault else { return 0 }
                    connection.isStalled = true
                    continue
                }
            }
            if let rate = state.bytesPerSecond {
                let now = ContinuousClock.now
                guard now >= state.freeAt else {
                    _ = condition.wait(until: Date(timeIntervalSinceNow: (state.freeAt - now) / .seconds(1)))
                    continue
                }
                state.freeAt = now + .seconds(Double(part) / Double(rate))
            }
            if connection.isForBlob {
                connection.answerBytes += part
                state.blobBytes += part
            }
            return part
        }
    }
}
