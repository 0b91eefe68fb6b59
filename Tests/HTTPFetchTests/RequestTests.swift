// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPFetch
import LoopbackServer
import Synchronization
import Testing

/// What goes out, and what must not.
@Suite(.timeLimit(.minutes(1)))
struct RequestTests {
    /// Answers every request with its own head and body.
    private func echo() throws -> ScriptedServer {
        try ScriptedServer { peer in
            while let request = peer.request() {
                let text = request.head + String(decoding: request.body, as: UTF8.self)
                guard peer.answer(request.head.hasPrefix("HEAD") ? "" : text) else { return }
            }
        }
    }

    private func send(_ request: FetchRequest) async throws -> String {
        let response = try await Fetcher(name: "fetch").collect(request, bodyBytesMax: 1 << 20)
        return String(decoding: response.body, as: UTF8.self)
    }

    @Test("a GET carries the target byte for byte and nothing of its own accord")
    func bareGet() async throws {
        let server = try echo()
        defer { server.close() }
        let text = try await send(
            FetchRequest(.get, server.url + "/a/../b//c?x=%2F&y", headers: [("X-Empty", "")], allowPlainHTTP: true)
        )
        #expect(
            text == """
                GET /a/../b//c?x=%2F&y HTTP/1.1\r
                Host: 127.0.0.1:\(server.port)\r
                User-Agent: depot-registry\r
                Accept: */*\r
                X-Empty:\r
                \r

                """
        )
    }

    @Test("bodies travel with their length", arguments: [FetchRequest.Method.post, .put, .patch, .delete])
    func bodies(method: FetchRequest.Method) async throws {
        let server = try echo()
        defer { server.close() }
        let text = try await send(
            FetchRequest(
                method,
                server.url + "/",
                headers: [("Content-Type", "text/plain")],
                body: Array("a\0b".utf8),
                allowPlainHTTP: true
            )
        )
        #expect(text.hasPrefix("\(method.rawValue) / HTTP/1.1\r\n"))
        #expect(text.contains("Content-Length: 3\r\n"))
        #expect(text.contains("Content-Type: text/plain\r\n"))
        #expect(!text.contains("Expect:"))
        #expect(text.hasSuffix("\r\n\r\na\0b"))
    }

    @Test("an empty POST says so and names no media type")
    func emptyPost() async throws {
        let server = try echo()
        defer { server.close() }
        let text = try await send(FetchRequest(.post, server.url + "/", allowPlainHTTP: true))
        #expect(text.contains("Content-Length: 0\r\n"))
        #expect(!text.contains("Content-Type"))
    }

    @Test("a HEAD ends with the head, whatever length it names")
    func head() async throws {
        let server = try ScriptedServer { peer in
            guard peer.request() != nil else { return }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
            peer.waitForHangUp()
        }
        defer { server.close() }
        let response = try await Fetcher(name: "fetch")
            .collect(FetchRequest(.head, server.url + "/", allowPlainHTTP: true), bodyBytesMax: 10)
        #expect(response.head.contentLength == 5000)
        #expect(response.body.isEmpty)
    }

    @Test(
        "what may not be sent is refused before anything is sent",
        arguments: [
            FetchRequest(.get, "http://127.0.0.1:1/"),
            FetchRequest(.get, "ftp://127.0.0.1:1/", allowPlainHTTP: true),
            FetchRequest(.get, "file:///etc/passwd", allowPlainHTTP: true),
            FetchRequest(.get, "http://user:secret@127.0.0.1:1/", allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/ HTTP/1.1\r\nX: y", allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/\0", allowPlainHTTP: true),
            FetchRequest(.get, "not a url", allowPlainHTTP: true),
            FetchRequest(.get, "", allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/", headers: [("X", "a\r\nY: b")], allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/", headers: [("X Y", "a")], allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/", range: 5..<5, allowPlainHTTP: true),
            FetchRequest(.get, "http://127.0.0.1:1/", range: -1..<5, allowPlainHTTP: true),
        ]
    )
    func refused(request: FetchRequest) async throws {
        let error = await #expect(throws: FetchError.self) { _ = try await send(request) }
        #expect(error?.kind == .invalidRequest, "\(String(describing: error))")
    }

    @Test("proxies and credentials of the environment are ignored")
    func hostileEnvironment() async throws {
        let server = try echo()
        let proxy = try ScriptedServer { peer in _ = peer.request() }
        defer {
            server.close()
            proxy.close()
        }
        let home = "/tmp/depot-netrc-\(getpid())"
        mkdir(home, 0o700)
        let netrc = "machine 127.0.0.1 login mallory password secret\n"
        let file = open(home + "/.netrc", O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        _ = Array(netrc.utf8).withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        close(file)
        let previousHome = getenv("HOME").map { String(cString: $0) }
        for name in ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"] { setenv(name, proxy.url, 1) }
        setenv("HOME", home, 1)
        defer {
            for name in ["http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"] { unsetenv(name) }
            if let previousHome { setenv("HOME", previousHome, 1) }
            unlink(home + "/.netrc")
            rmdir(home)
        }
        let text = try await send(FetchRequest(.get, server.url + "/", allowPlainHTTP: true))
        #expect(text.hasPrefix("GET / "))
        #expect(!text.contains("Authorization"))
        #expect(proxy.acceptCount == 0)
    }

    @Test("TLS against a peer that speaks none is a failure to connect")
    func noTLS() async throws {
        let server = try ScriptedServer { peer in
            _ = peer.send("HTTP/1.1 400 Bad\r\n\r\n")
        }
        defer { server.close() }
        let error = await #expect(throws: FetchError.self) {
            _ = try await send(FetchRequest(.get, "https://127.0.0.1:\(server.port)/"))
        }
        #expect(error?.kind == .connect)
    }
}
