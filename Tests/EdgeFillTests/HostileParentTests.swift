// SPDX-License-Identifier: Apache-2.0

import EdgeFill
import Foundation
import LoopbackServer
import Synchronization
import Testing

/// Answers of parents byte for byte: rows X of the catalogue of bad input (`Tests/IntegrationTests/BadInput`), and rows
/// F7 to F9 of `Docs/faults.md`.
@Suite("Hostile parents", .timeLimit(.minutes(1)))
struct HostileParentTests {
    private let blob = TestBlob(byteCount: 2 << 20 | 77)

    /// An answer to a request for the first byte up to another.
    struct Lie: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let failure: BlobReader.Failure
        let answer: @Sendable (_ last: Int, _ blob: [UInt8], _ peer: Peer) -> Void

        init(
            _ name: String, _ failure: BlobReader.Failure,
            _ answer: @escaping @Sendable (_ last: Int, _ blob: [UInt8], _ peer: Peer) -> Void
        ) {
            testDescription = name
            self.failure = failure
            self.answer = answer
        }
    }

    private static func head(_ last: Int, of blob: [UInt8], length: Int, _ more: String = "") -> String {
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-\(last)/\(blob.count)\r\nContent-Length: \(length)\r\n"
            + more + "\r\n"
    }

    private static let noise = [UInt8](repeating: 0x5A, count: 1 << 20)

    private static let lies: [Lie] = [
        Lie("a Content-Length that is too short", .corrupt) { last, blob, peer in
            peer.send(head(last, of: blob, length: last))
            peer.send(Array(blob[..<last]))
        },
        Lie("a Content-Length that is too long", .corrupt) { last, blob, peer in
            peer.send(head(last, of: blob, length: last + 2))
            peer.send(blob + [0])
        },
        Lie("wrong bytes under a header with the right digest", .corrupt) { last, blob, peer in
            let digest = "sha256:" + String(repeating: "0", count: 64)
            peer.send(
                head(last, of: blob, length: last + 1, "Docker-Content-Digest: \(digest)\r\nETag: \"\(digest)\"\r\n"))
            peer.send(blob.map { $0 ^ 1 })
        },
        Lie("a chunked body that is cut off", .unavailable) { last, blob, peer in
            peer.send(
                "HTTP/1.1 206 P\r\nContent-Range: bytes 0-\(last)/\(blob.count)\r\nTransfer-Encoding: chunked\r\n\r\n")
            peer.send("ffff\r\n")
            peer.send(Array(blob[..<5000]))
        },
        Lie("a web page", .corrupt) { _, _, peer in
            peer.answer("<html>Please log in</html>", headers: "Content-Type: text/html\r\n")
        },
        Lie("the whole blob with status 200", .corrupt) { _, blob, peer in
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(blob.count)\r\n\r\n")
            peer.send(blob)
        },
        Lie("a body with a Content-Encoding", .corrupt) { last, blob, peer in
            peer.send(head(last, of: blob, length: last + 1, "Content-Encoding: gzip\r\n"))
            peer.send([0x1F, 0x8B, 8] + [UInt8](repeating: 0, count: last - 2))
        },
        Lie("a body without end", .corrupt) { last, blob, peer in
            peer.send("HTTP/1.1 206 P\r\nContent-Range: bytes 0-\(last)/\(blob.count)\r\n\r\n")
            for _ in 0..<64 where !peer.send(noise) { return }
        },
        Lie("a header of a megabyte", .corrupt) { last, blob, peer in
            peer.send(head(last, of: blob, length: last + 1, "X: \(String(repeating: "x", count: 1 << 20))\r\n"))
        },
        Lie("ten thousand headers", .corrupt) { last, blob, peer in
            peer.send(head(last, of: blob, length: last + 1, String(repeating: "X: y\r\n", count: 10_000)))
        },
        Lie("interim answers without end", .corrupt) { _, _, peer in
            for _ in 0..<100_000 where !peer.send("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n") { return }
        },
        Lie("an answer of HTTP/0.9", .corrupt) { _, blob, peer in peer.send(blob) },
        Lie("a 206 that names no range", .corrupt) { last, blob, peer in
            peer.send("HTTP/1.1 206 P\r\nContent-Length: \(last + 1)\r\n\r\n")
            peer.send(blob)
        },
        Lie("a range of another size", .corrupt) { last, blob, peer in
            peer.send("HTTP/1.1 206 P\r\nContent-Range: bytes 0-\(last)/*\r\nContent-Length: \(last + 1)\r\n\r\n")
            peer.send(blob)
        },
        Lie("several parts", .corrupt) { _, _, peer in
            peer.send(
                "HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: 3\r\n\r\n--b")
        },
        Lie("another protocol", .corrupt) { _, _, peer in
            peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        },
        Lie("a close instead of an answer", .unavailable) { _, _, _ in },
    ]

    /// The fixture whose only parent answers so, and that parent with the heads that it was sent.
    private func fixture(
        _ answer: @escaping @Sendable (_ last: Int, _ peer: Peer) -> Void
    ) throws -> (FillFixture, ScriptedServer, Heads) {
        let heads = Heads()
        let server = try ScriptedServer { peer in
            guard let request = peer.request() else { return }
            heads.append(request.head)
            if let range = request.range { answer(range.last, peer) }
        }
        let fixture = try FillFixture(blob, parents: [])
        fixture.origin.script.withLock { $0.urls = ["\(server.url)/b/v1/blob?a=origin&g=x"] }
        return (fixture, server, heads)
    }

    private final class Heads: Sendable {
        private let heads = Mutex<[String]>([])
        func append(_ head: String) { heads.withLock { $0.append(head) } }
        var all: [String] { heads.withLock { $0 } }
    }

    /// An honest parent has to send all of it afterwards: nothing of what came before is on disk.
    private func expectNothingKept(_ fixture: FillFixture) async throws {
        #expect(!FileManager.default.fileExists(atPath: fixture.completePath))
        let honest = try LoopbackParent(blob.bytes)
        fixture.clock.endGrace()
        fixture.origin.script.withLock { $0.urls = [honest.url] }
        #expect(try await fixture.get() == blob.bytes)
        #expect(honest.sentBytes == blob.bytes.count)
    }

    @Test("an answer that is not the range asked for is refused, and nothing of it is kept", arguments: lies)
    func refused(lie: Lie) async throws {
        let bytes = blob.bytes
        let (fixture, server, heads) = try fixture { last, peer in lie.answer(last, bytes, peer) }
        defer { server.close() }
        await #expect(throws: lie.failure) { try await fixture.get() }
        #expect((1...8).contains(heads.all.count), "tried again, and not for ever")
        for head in heads.all {
            let names = head.split(separator: "\r\n").dropFirst().map { $0.prefix { $0 != ":" }.lowercased() }
            #expect(!names.contains { $0 == "authorization" || $0 == "cookie" || $0.hasPrefix("depot-") })
        }
        try await expectNothingKept(fixture)
    }

    @Test(
        "a parent that sends an edge elsewhere is left, and nobody else is called",
        arguments: [
            ("301 Moved Permanently", "Location: http://TRAP/b/v1/blob", BlobReader.Failure.corrupt),
            ("302 Found", "Location: //TRAP/", .corrupt),
            ("303 See Other", "Location: http://user:secret@TRAP/", .corrupt),
            ("307 Temporary Redirect", "Location: http://TRAP/b/v1/blob?a=origin&g=x", .corrupt),
            ("308 Permanent Redirect", "Location: http://[::ffff:127.0.0.1]:PORT/", .corrupt),
            ("307 Temporary Redirect", "Location: http://2130706433:PORT/", .corrupt),
            ("307 Temporary Redirect", "Location: /b/v1/blob?a=origin&g=x", .corrupt),
            ("401 Unauthorized", "WWW-Authenticate: Bearer realm=\"http://TRAP/token\",service=\"x\"", .unavailable),
            ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"http://user@TRAP/\"", .unavailable),
            ("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"TRAP\"", .unavailable),
            ("200 OK", "Refresh: 0; url=http://TRAP/", .corrupt),
        ])
    func elsewhere(status: String, header: String, failure: BlobReader.Failure) async throws {
        let trap = try ScriptedServer { _ in }
        defer { trap.close() }
        let line = header.replacing("TRAP", with: "127.0.0.1:\(trap.port)").replacing("PORT", with: "\(trap.port)")
        let (fixture, server, heads) = try fixture { _, peer in
            peer.send("HTTP/1.1 \(status)\r\n\(line)\r\nContent-Length: 0\r\n\r\n")
        }
        defer { server.close() }
        await #expect(throws: failure) { try await fixture.get() }
        #expect(trap.acceptCount == 0)
        #expect(heads.all.allSatisfy { $0.hasPrefix("GET /b/v1/blob?a=origin&g=x HTTP/1.1\r\n") })
        try await expectNothingKept(fixture)
    }

    @Test(
        "an answer of 500 is asked for twice more, is no 404, and is not remembered", arguments: [500, 502, 503, 429])
    func failing(status: Int) async throws {
        let (fixture, server, heads) = try fixture { _, peer in
            peer.send("HTTP/1.1 \(status) No\r\nContent-Length: 0\r\n\r\n")
        }
        defer { server.close() }
        await #expect(throws: BlobReader.Failure.unavailable) { try await fixture.get() }
        #expect(heads.all.count == 3)
        try await expectNothingKept(fixture)
    }

    @Test("an answer of 404 is passed on after one question, and is not remembered")
    func absent() async throws {
        let (fixture, server, heads) = try fixture { _, peer in
            peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        }
        defer { server.close() }
        await #expect(throws: BlobReader.Failure.unknownBlob) { try await fixture.get() }
        #expect(heads.all.count == 1)
        try await expectNothingKept(fixture)
    }
}
