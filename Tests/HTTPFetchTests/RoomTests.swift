// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import LoopbackServer
import Synchronization
import Testing

/// Bodies that go straight to memory of the handler's own.
@Suite(.timeLimit(.minutes(1)))
struct RoomTests {
    private static let body = (0..<300_007).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    /// - Parameter sentCount: Bytes of the body that are sent before the connection is closed.
    private func fetch(roomBytes: Int, hesitates: Bool, sentCount: Int = body.count) async throws -> RoomHandler {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.body.count)\r\n\r\n")
            peer.send(Array(Self.body.prefix(sentCount)))
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RoomHandler(roomBytes: roomBytes, roomCount: .max, hesitates: hesitates)
        let request = FetchRequest(.get, server.url + "/x", allowPlainHTTP: true)
        handler.handle.withLock { handle in handle = try? fetcher.start(request, handler: handler) }
        await handler.ended.passed()
        return handler
    }

    @Test(
        "rooms are filled in order, each to its end, and every byte once, whoever hesitates",
        arguments: [1 << 20, 300_007, 65_536, 16_385, 16_384, 1000, 7], [false, true])
    func rooms(roomBytes: Int, hesitates: Bool) async throws {
        let handler = try await fetch(roomBytes: roomBytes, hesitates: hesitates)
        let record = handler.record
        #expect(record.body == Self.body)
        #expect(record.counts.dropLast().allSatisfy { $0 == roomBytes })
        #expect(record.error == nil)
    }

    @Test("what came before a body broke off is offered, and the break is told")
    func brokenBody() async throws {
        let record = try await fetch(roomBytes: 100_000, hesitates: false, sentCount: 150_000).record
        #expect(record.counts == [100_000, 50_000])
        #expect(record.body == Array(Self.body.prefix(150_000)))
        #expect(record.error?.kind == .closedEarly)
    }

    @Test("a handler without a further room gets the rest from the fetcher's memory")
    func lastRoom() async throws {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.answer("0123456789")
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RoomHandler(roomBytes: 4, roomCount: 1, hesitates: false)
        try fetcher.start(FetchRequest(.get, server.url + "/x", allowPlainHTTP: true), handler: handler)
        await handler.ended.passed()
        #expect(handler.record.counts == [4, 6])
        #expect(handler.record.body == Array("0123456789".utf8))
    }
}

/// Keeps what its rooms were filled with. One that hesitates refuses every offer once and asks for it again at once.
private final class RoomHandler: FetchHandler {
    struct Record: Sendable {
        var body: [UInt8] = []
        var counts: [Int] = []
        var error: FetchError?
    }

    private struct Room: @unchecked Sendable {
        // SAFETY: used by the fetcher's thread only, until the handler's end.
        let bytes: UnsafeMutableRawBufferPointer
    }

    let handle = Mutex<FetchHandle?>(nil)
    let ended = Gate()
    private let room: Room
    private let roomsLeft: Mutex<Int>
    private let hesitates: Bool
    private let offerCount = Atomic(0)
    private let state = Mutex(Record())

    init(roomBytes: Int, roomCount: Int, hesitates: Bool) {
        room = Room(bytes: .allocate(byteCount: roomBytes, alignment: 1))
        roomsLeft = Mutex(roomCount)
        self.hesitates = hesitates
    }

    deinit { room.bytes.deallocate() }

    var record: Record { state.withLock { $0 } }

    func fetchReceivedHead(_ head: FetchHead) -> Bool { true }

    func fetchRoom() -> UnsafeMutableRawBufferPointer? {
        let isLeft = roomsLeft.withLock { left in
            left -= 1
            return left >= 0
        }
        return isLeft ? room.bytes : nil
    }

    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        if hesitates, !offerCount.add(1, ordering: .relaxed).newValue.isMultiple(of: 2) {
            handle.withLock { $0 }?.resume()
            return .pause
        }
        state.withLock { record in
            record.body.append(contentsOf: bytes)
            record.counts.append(bytes.count)
        }
        return .proceed
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        if case .failure(let error) = result { state.withLock { $0.error = error } }
        ended.open()
    }
}
