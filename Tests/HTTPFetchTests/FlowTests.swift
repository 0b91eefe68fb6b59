// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import LoopbackServer
import Synchronization
import Testing

/// Connections, back-pressure, limits on time, and ends.
@Suite(.timeLimit(.minutes(1)))
struct FlowTests {
    private func request(_ server: ScriptedServer, _ change: (inout FetchRequest) -> Void = { _ in }) -> FetchRequest {
        var request = FetchRequest(.get, server.url + "/x", allowPlainHTTP: true)
        change(&request)
        return request
    }

    @Test("a hundred requests in a row use one connection")
    func reuse() async throws {
        let server = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("ok") else { return } }
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        for _ in 0..<100 { #expect(try await fetcher.collect(request(server), bodyBytesMax: 10).status == 200) }
        #expect(server.acceptCount == 1)
    }

    @Test("a kept connection that the server has closed is replaced without an error")
    func staleConnection() async throws {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.answer("ok")
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        for _ in 0..<5 { #expect(try await fetcher.collect(request(server), bodyBytesMax: 10).status == 200) }
        #expect(server.acceptCount == 5)
    }

    @Test("requests above the connection limit wait for a connection")
    func hostLimit() async throws {
        let server = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("ok") else { return } }
        }
        defer { server.close() }
        var configuration = Fetcher.Configuration()
        configuration.hostConnectionCountMax = 2
        let fetcher = try Fetcher(name: "fetch", configuration: configuration)
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<50 {
                group.addTask { try await fetcher.collect(request(server), bodyBytesMax: 10).status }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses == Array(repeating: 200, count: 50))
        #expect(server.acceptCount <= 2)
    }

    @Test("a large body arrives whole, in pieces up to the slab", arguments: [16 * 1024, 100_000, 256 * 1024, 1 << 20])
    func largeBody(slabBytes: Int) async throws {
        let body = pattern(5_000_003)
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            peer.send(body)
        }
        defer { server.close() }
        var configuration = Fetcher.Configuration()
        configuration.slabBytes = slabBytes
        let fetcher = try Fetcher(name: "fetch", configuration: configuration)
        let handler = RecordingHandler()
        try fetcher.start(request(server), handler: handler)
        #expect(await handler.failure() == nil)
        let isWhole = handler.record.body == body
        #expect(isWhole)
        #expect(handler.record.pieceCounts.allSatisfy { $0 <= slabBytes })
    }

    @Test("first bytes reach the handler while the server still works on the rest")
    func firstBytes() async throws {
        let mayFinish = Gate()
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            mayFinish.block()
            peer.send("cd")
        }
        defer { server.close() }
        let handler = RecordingHandler()
        let fetcher = try Fetcher(name: "fetch")
        try fetcher.start(request(server), handler: handler)
        await handler.gotBody.passed()
        #expect(handler.record.body == Array("ab".utf8))
        mayFinish.open()
        #expect(await handler.failure() == nil)
        #expect(handler.record.body == Array("abcd".utf8))
    }

    @Test("a paused handler stops the server, and gets every byte once after it resumed")
    func backPressure() async throws {
        // Far above what slab, libcurl's buffer, and two socket buffers hold.
        let body = pattern(32 << 20)
        let allSent = Atomic(false)
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            peer.send(body)
            allSent.store(true, ordering: .releasing)
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RecordingHandler(isPausing: true)
        let handle = try fetcher.start(request(server), handler: handler)
        await handler.paused.passed()
        // The fetcher goes on with others meanwhile, and the paused one is left alone.
        let other = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("ok") else { return } }
        }
        defer { other.close() }
        for _ in 0..<20 { _ = try await fetcher.collect(request(other), bodyBytesMax: 10) }
        #expect(handler.record.offeredWhilePaused == 1)
        let isAllSent = allSent.load(ordering: .acquiring)
        #expect(!isAllSent)
        handler.stopPausing()
        handle.resume()
        #expect(await handler.failure() == nil)
        let isWhole = handler.record.body == body
        #expect(isWhole)
        #expect(handler.record.endCount == 1)
    }

    @Test("pausing at every other offer loses and repeats nothing")
    func manyPauses() async throws {
        let body = pattern(8 << 20)
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.count)\r\n\r\n")
            peer.send(body)
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RecordingHandler(hesitates: true)
        try handler.start(request(server), with: fetcher)
        await handler.ended.passed()
        let isWhole = handler.record.body == body
        #expect(isWhole)
    }

    @Test("a short body that is paused ends only when it is taken")
    func pausedAtTheEnd() async throws {
        let server = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("short") else { return } }
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RecordingHandler(isPausing: true)
        let handle = try fetcher.start(request(server), handler: handler)
        await handler.paused.passed()
        handle.resume()  // Still pausing: offered again, refused again.
        for _ in 0..<5 { _ = try await fetcher.collect(request(server), bodyBytesMax: 10) }
        #expect(handler.record.endCount == 0)
        handler.stopPausing()
        handle.resume()
        #expect(await handler.failure() == nil)
        #expect(handler.record.body == Array("short".utf8))
    }

    @Test("a cancelled request ends once and its connection is closed")
    func cancel() async throws {
        let hungUp = Gate()
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            peer.waitForHangUp()
            hungUp.open()
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RecordingHandler()
        let handle = try fetcher.start(request(server), handler: handler)
        await handler.gotBody.passed()
        handle.cancel()
        handle.cancel()
        #expect(await handler.failure()?.kind == .cancelled)
        await hungUp.passed()
        handle.resume()
        #expect(handler.record.endCount == 1)
    }

    @Test("a cancelled task ends its request")
    func cancelTask() async throws {
        let asked = Gate()
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            asked.open()
            peer.waitForHangUp()
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let task = Task { try await fetcher.collect(request(server), bodyBytesMax: 10) }
        await asked.passed()
        task.cancel()
        let error = await #expect(throws: FetchError.self) { _ = try await task.value }
        #expect(error?.kind == .cancelled)
    }

    @Test("a handler that refuses ends the transfer", arguments: [true, false])
    func handlerAborts(atHead: Bool) async throws {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.answer("body")
            peer.waitForHangUp()
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handler = RecordingHandler(acceptsHead: !atHead, abortsBody: true)
        try fetcher.start(request(server), handler: handler)
        #expect(await handler.failure()?.kind == .cancelled)
        #expect(handler.record.body.isEmpty)
    }

    @Test("closing ends running requests once and refuses new ones")
    func close() async throws {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            peer.waitForHangUp()
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let handlers = (0..<4).map { _ in RecordingHandler() }
        for handler in handlers { try fetcher.start(request(server), handler: handler) }
        await handlers[0].gotBody.passed()
        fetcher.close()
        for handler in handlers {
            #expect(await handler.failure()?.kind == .cancelled)
            #expect(handler.record.endCount == 1)
        }
        let error = #expect(throws: FetchError.self) { try fetcher.start(request(server), handler: handlers[0]) }
        #expect(error?.kind == .cancelled)
    }

    @Test("above the limit of requests, one more is refused")
    func overload() async throws {
        let server = try ScriptedServer { peer in peer.waitForHangUp() }
        defer { server.close() }
        var configuration = Fetcher.Configuration()
        configuration.transferCountMax = 2
        let fetcher = try Fetcher(name: "fetch", configuration: configuration)
        let handlers = [RecordingHandler(), RecordingHandler()]
        let handles = try handlers.map { try fetcher.start(request(server), handler: $0) }
        let error = #expect(throws: FetchError.self) { try fetcher.start(request(server), handler: handlers[0]) }
        #expect(error?.kind == .overloaded)
        handles[0].cancel()
        _ = await handlers[0].failure()
        #expect(throws: Never.self) { try fetcher.start(request(server), handler: RecordingHandler()) }
    }

    @Test("no head in time, a whole answer that takes too long, or a trickle: timeout")
    func timeouts() async throws {
        let server = try ScriptedServer { peer in
            guard let request = peer.request() else { return }
            if !request.head.contains("X-Silent") { peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc") }
            peer.waitForHangUp()
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let requests = [
            request(server) {
                $0.headers = [("X-Silent", "1")]
                $0.firstByteTimeout = .milliseconds(50)
            },
            request(server) { $0.totalTimeout = .milliseconds(50) },
            request(server) { $0.lowSpeed = .init(bytesPerSecond: 1000, during: .seconds(1)) },
        ]
        for request in requests {
            let error = await #expect(throws: FetchError.self) {
                _ = try await fetcher.collect(request, bodyBytesMax: 1000)
            }
            #expect(error?.kind == .timeout)
        }
    }

    @Test("nobody listens: a failure to connect, at once")
    func refusedConnection() async throws {
        let server = try ScriptedServer { _ in }
        let url = server.url
        server.close()
        let fetcher = try Fetcher(name: "fetch")
        let error = await #expect(throws: FetchError.self) {
            _ = try await fetcher.collect(FetchRequest(.get, url, allowPlainHTTP: true), bodyBytesMax: 10)
        }
        #expect(error?.kind == .connect)
    }
}
