// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPFetch
import LoopbackServer
import Testing

/// What servers may answer, and what becomes of it.
@Suite(.timeLimit(.minutes(1)))
struct AnswerTests {
    private func get(
        _ server: ScriptedServer,
        range: Range<Int64>? = nil,
        bodyBytesMax: Int = 1 << 20
    ) async throws(FetchError) -> FetchResponse {
        let fetcher = try Fetcher(name: "fetch")
        return try await fetcher.collect(
            FetchRequest(.get, server.url + "/x", range: range, allowPlainHTTP: true),
            bodyBytesMax: bodyBytesMax
        )
    }

    /// One connection, one raw answer, then the end of the connection.
    private func server(answering raw: String) throws -> ScriptedServer {
        try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send(raw)
        }
    }

    @Test("status, headers, and body arrive")
    func plainAnswer() async throws {
        let server = try server(
            answering: "HTTP/1.1 404 Gone away\r\nX-One: 1\r\nx-one:  2 \r\nContent-Length: 3\r\n\r\nabc"
        )
        defer { server.close() }
        let response = try await get(server)
        #expect(response.status == 404)
        #expect(response.head.all("X-ONE") == ["1", "2"])
        #expect(response.head.first("none") == nil)
        #expect(response.head.contentLength == 3)
        #expect(response.body == Array("abc".utf8))
    }

    @Test("interim responses are dropped and the final one is reported")
    func interim() async throws {
        let server = try server(
            answering: "HTTP/1.1 103 Early Hints\r\nX-Hint: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
        defer { server.close() }
        let response = try await get(server)
        #expect(response.status == 200)
        #expect(response.head.first("X-Hint") == nil)
    }

    @Test("a chunked body is joined and its trailers are dropped")
    func chunked() async throws {
        let server = try server(
            answering:
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
        defer { server.close() }
        let response = try await get(server)
        #expect(response.body == Array("abcde".utf8))
        #expect(response.head.contentLength == nil)
    }

    @Test("an encoded body is not decoded")
    func encoded() async throws {
        let server = try server(answering: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
        defer { server.close() }
        #expect(try await get(server).body == Array("abc".utf8))
    }

    @Test("a redirect is an answer, not a step")
    func redirect() async throws {
        let server = try server(answering: "HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        defer { server.close() }
        let response = try await get(server)
        #expect(response.status == 307)
        #expect(response.head.first("location") == "/elsewhere")
        #expect(server.acceptCount == 1)
    }

    @Test("a range goes out inclusive and comes back half-open")
    func range() async throws {
        let server = try ScriptedServer { peer in
            guard let range = peer.request()?.range else { return }
            let count = range.last - range.first + 1
            peer.send(
                "HTTP/1.1 206 P\r\nContent-Range: bytes \(range.first)-\(range.last)/100\r\nContent-Length: \(count)\r\n\r\n"
            )
            peer.send([UInt8](repeating: 1, count: count))
        }
        defer { server.close() }
        let response = try await get(server, range: 10..<20)
        #expect(response.body.count == 10)
        #expect(response.head.contentRange == FetchHead.ContentRange(range: 10..<20, totalBytes: 100))
    }

    @Test("a range that reaches past the end may come back shorter")
    func rangeAtTheEnd() async throws {
        let server = try server(
            answering: "HTTP/1.1 206 P\r\nContent-Range: bytes 90-99/100\r\nContent-Length: 10\r\n\r\n0123456789"
        )
        defer { server.close() }
        #expect(try await get(server, range: 90..<120).body.count == 10)
    }

    @Test(
        "an answer that breaks the agreement fails with its kind",
        arguments: [
            // Another range, no range, a range nobody asked for in the same sense, several parts.
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10\r\n\r\n0123456789",
                FetchError.Kind.protocolViolation
            ),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-18/100\r\nContent-Length: 9\r\n\r\n012345678",
                .protocolViolation
            ),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/*\r\nContent-Length: 10\r\n\r\n0123456789",
                .protocolViolation
            ),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/15\r\nContent-Length: 10\r\n\r\n0123456789",
                .protocolViolation
            ),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 19-10/100\r\nContent-Length: 10\r\n\r\n0123456789",
                .protocolViolation
            ),
            ("HTTP/1.1 206 P\r\nContent-Range: bytes 10-99999999999999999999/100\r\n\r\n", .protocolViolation),
            ("HTTP/1.1 206 P\r\nContent-Length: 10\r\n\r\n0123456789", .protocolViolation),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 11\r\n\r\n01234567890",
                .protocolViolation
            ),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
                .protocolViolation
            ),
            // Shorter than promised: by length, by chunks, by the range although the message is whole.
            ("HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10\r\n\r\n01234", .closedEarly),
            (
                "HTTP/1.1 206 P\r\nContent-Range: bytes 10-19/100\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n",
                .closedEarly
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", .closedEarly),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n012", .closedEarly),
            ("", .closedEarly),
            // Heads that are none.
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", .protocolViolation),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", .protocolViolation),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: y\r\n folded\r\n\r\na", .protocolViolation),
            ("just text, no head at all\r\n\r\n", .protocolViolation),
        ]
    )
    func broken(raw: String, kind: FetchError.Kind) async throws {
        let server = try server(answering: raw)
        defer { server.close() }
        let error = await #expect(throws: FetchError.self) { _ = try await get(server, range: 10..<20) }
        #expect(error?.kind == kind, "\(String(describing: error))")
    }

    @Test("a head above the limits fails", arguments: [(1000, 10), (1, 200_000), (100, 1000)])
    func hugeHead(lineCount: Int, valueBytes: Int) async throws {
        let line = "X-Line: " + String(repeating: "a", count: valueBytes) + "\r\n"
        let server = try server(
            answering: "HTTP/1.1 200 OK\r\n" + String(repeating: line, count: lineCount) + "Content-Length: 0\r\n\r\n"
        )
        defer { server.close() }
        let error = await #expect(throws: FetchError.self) { _ = try await get(server) }
        #expect(error?.kind == .tooLarge)
    }

    @Test(
        "a body above the caller's limit fails",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n01234567890",
        ]
    )
    func bodyAboveLimit(raw: String) async throws {
        let server = try server(answering: raw)
        defer { server.close() }
        let error = await #expect(throws: FetchError.self) { _ = try await get(server, bodyBytesMax: 10) }
        #expect(error?.kind == .tooLarge)
    }

    @Test("a body of exactly the limit is fine")
    func bodyAtLimit() async throws {
        let server = try server(answering: "HTTP/1.1 200 OK\r\n\r\n0123456789")
        defer { server.close() }
        #expect(try await get(server, bodyBytesMax: 10).body.count == 10)
    }
}
