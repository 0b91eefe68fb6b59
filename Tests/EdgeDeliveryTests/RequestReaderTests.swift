// SPDX-License-Identifier: Apache-2.0

import EdgeDelivery
import Testing

@Suite("Request heads at the edge")
struct RequestReaderTests {
    private func read(_ text: String) -> RequestReader.Answer {
        Array(text.utf8).withUnsafeBytes { RequestReader.read($0) }
    }

    private func parsed(_ text: String) -> BlobRequest? {
        if case .request(let request, _) = read(text) { request } else { nil }
    }

    private func head(_ line: String, _ fields: String...) -> String {
        ([line] + fields).map { $0 + "\r\n" }.joined() + "\r\n"
    }

    @Test("a plain request, with what follows it left alone")
    func plain() throws {
        let text = head("GET /b/v1/x?a=b HTTP/1.1", "Host: edge", "Accept: */*")
        guard case .request(let request, let byteCount) = read(text + "GET /next") else {
            Issue.record("not read: \(read(text))")
            return
        }
        #expect(byteCount == text.utf8.count)
        #expect(request == BlobRequest(method: .get, target: "/b/v1/x?a=b"))
    }

    @Test("every beginning of a good head is incomplete, never malformed")
    func beginnings() {
        let text = Array(
            head("HEAD /x HTTP/1.1", "Host: edge:80", "Range: bytes=0-1", "If-Range: \"a\"", "X-Y:\t z ").utf8)
        for count in 0..<text.count {
            #expect(text.prefix(count).withUnsafeBytes { RequestReader.read($0) } == .incomplete, "\(count) bytes")
        }
    }

    @Test("fields that matter, in any case, with blanks around the value")
    func fields() throws {
        let request = try #require(
            parsed(
                head(
                    "GET / HTTP/1.1", "hOST:x", "RANGE:  bytes=1-2 \t", "if-range:\"a\"", "If-None-Match: \"a\"",
                    "if-none-match: W/\"b\"")))
        #expect(request.range.only == "bytes=1-2")
        #expect(request.ifRange.only == "\"a\"")
        #expect(request.ifNoneMatch.joined == "\"a\",W/\"b\"")
        #expect(request.ifNoneMatch.only == nil)
    }

    @Test(
        "who wants another answer on this connection",
        arguments: [
            ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close", false), ("HTTP/1.0", "", false),
            ("HTTP/1.1", "Connection: x, Close", false), ("HTTP/1.0", "Connection: Keep-Alive", true),
            ("HTTP/1.0", "Connection: keep-alive, close", false), ("HTTP/1.1", "Connection: closed", true),
            ("HTTP/1.1", "Upgrade: h2c", true),
        ])
    func persistence(version: String, field: String, keepsAlive: Bool) throws {
        let fields = field.isEmpty ? "" : field + "\r\n"
        let request = try #require(parsed("GET / \(version)\r\nHost: x\r\n\(fields)\r\n"))
        #expect(request.keepsAlive == keepsAlive)
        #expect(request.isHTTP10 == (version == "HTTP/1.0"))
    }

    @Test(
        "a body is seen in whatever way it is announced",
        arguments: [
            ("Content-Length: 0", false), ("Content-Length: 00", true), ("Content-Length: 5", true),
            ("Content-Length:", true), ("Transfer-Encoding: identity", true), ("content-length: -1", true),
            ("Content-Length: 0\r\nContent-Length: 7", true), ("Content-Encoding: gzip", false),
        ])
    func bodies(field: String, hasBody: Bool) throws {
        #expect(try #require(parsed(head("GET / HTTP/1.1", "Host: x", field))).hasBody == hasBody)
    }

    @Test(
        "what is not of the grammar",
        arguments: [
            "GET / HTTP/1.1\nHost: x\n\n", "GET /\r\n", " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / x HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", "GET / http/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/11\r\nHost: x\r\n\r\n", "G\u{e9}T / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\u{0} HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "GET / HTTP/1.1\r\n folded\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: a\u{0}b\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX(: y\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\n",
        ])
    func malformed(text: String) {
        #expect(read(text) == .malformed(.syntax))
    }

    @Test("one empty line before a request is forgiven; other versions of HTTP are named")
    func edges() {
        #expect(parsed("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n") != nil)
        #expect(read(head("GET / HTTP/2.0", "Host: x")) == .malformed(.version))
        #expect(parsed(head("GET / HTTP/1.0"))?.isHTTP10 == true)
        #expect(parsed(head("BREW / HTTP/1.1", "Host: x"))?.method == .other("BREW"))
        #expect(read(head(String(repeating: "A", count: 33) + " / HTTP/1.1")) == .malformed(.syntax))
    }

    @Test("lines, fields and heads have a maximum, also before they end")
    func limits() {
        let long = String(repeating: "a", count: RequestReader.lineBytesMax)
        #expect(read("GET /" + long) == .malformed(.targetTooLong))
        #expect(read(head("GET /" + long + " HTTP/1.1", "Host: x")) == .malformed(.targetTooLong))
        #expect(read("GET / HTTP/1.1\r\nX: " + long) == .malformed(.tooLarge))
        #expect(read(head("GET / HTTP/1.1", "Host: x", "X: " + long)) == .malformed(.tooLarge))
        let fields = (0..<RequestReader.fieldCountMax).map { "X\($0): y\r\n" }.joined()
        #expect(read("GET / HTTP/1.1\r\n" + fields + "Host: x\r\n\r\n") == .malformed(.tooLarge))
        let wide = (0..<5).map { "X\($0): " + String(repeating: "y", count: 8000) + "\r\n" }.joined()
        #expect(read("GET / HTTP/1.1\r\nHost: x\r\n" + wide) == .malformed(.tooLarge))
        #expect(read("GET / HTTP/1.1\r\nHost: x\r\n" + wide + "\r\n") == .malformed(.tooLarge))
    }
}
