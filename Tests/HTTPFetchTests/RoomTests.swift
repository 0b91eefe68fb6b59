// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import LoopbackServer
import Testing

/// Bodies that go straight to memory of the handler's own.
@Suite(.timeLimit(.minutes(1)))
struct RoomTests {
    private static let body = pattern(300_007)

    /// - Parameter sentCount: Bytes of the body that are sent before the connection is closed; all of them if `nil`.
    private func fetch(
        _ body: [UInt8] = body, sentCount: Int? = nil, with handler: RecordingHandler
    ) async throws -> RecordingHandler.Record {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            peer.send(Array(body.prefix(sentCount ?? body.count)))
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        try handler.start(FetchRequest(.get, server.url + "/x", allowPlainHTTP: true), with: fetcher)
        await handler.ended.passed()
        return handler.record
    }

    @Test(
        "rooms are filled in order, each to its end, and every byte once, whoever hesitates",
        arguments: [1 << 20, 300_007, 65_536, 16_385, 16_384, 1000, 7], [false, true])
    func rooms(roomBytes: Int, hesitates: Bool) async throws {
        let handler = RecordingHandler(hesitates: hesitates, roomBytes: roomBytes, roomCount: .max)
        let record = try await fetch(with: handler)
        #expect(record.body == Self.body)
        #expect(record.pieceCounts.dropLast().allSatisfy { $0 == roomBytes })
        #expect(await handler.failure() == nil)
    }

    @Test("what came before a body broke off is offered, and the break is told")
    func brokenBody() async throws {
        let handler = RecordingHandler(roomBytes: 100_000, roomCount: .max)
        let record = try await fetch(sentCount: 150_000, with: handler)
        #expect(record.pieceCounts == [100_000, 50_000])
        #expect(record.body == Array(Self.body.prefix(150_000)))
        #expect(await handler.failure()?.kind == .closedEarly)
    }

    @Test("a handler without a further room gets the rest from the fetcher's memory")
    func lastRoom() async throws {
        let body = Array("0123456789".utf8)
        let record = try await fetch(body, with: RecordingHandler(roomBytes: 4, roomCount: 1))
        #expect(record.pieceCounts == [4, 6])
        #expect(record.body == body)
    }
}
