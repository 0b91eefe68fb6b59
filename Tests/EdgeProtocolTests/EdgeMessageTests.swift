// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import OCI
import Testing

@Suite("Messages between edge and origin")
struct EdgeMessageTests {
    private func text(_ message: some EdgeMessage) throws -> String {
        String(decoding: try message.json(), as: UTF8.self)
    }

    @Test("heartbeats")
    func heartbeat() throws {
        let request = HeartbeatRequest(
            inflightRequests: 3, freeBytes: 1 << 40, capacityBytes: 1 << 41, unixTimeMilliseconds: 1_800_000_000_123,
            isDraining: true, feedCursor: 9, version: "1.0", url: "http://127.0.0.2:1")
        #expect(
            try text(request)
                == #"{"capacity_bytes":2199023255552,"draining":true,"feed_cursor":9,"free_bytes":1099511627776,"#
                + #""inflight_requests":3,"unix_time_ms":1800000000123,"url":"http://127.0.0.2:1","version":"1.0"}"#)
        #expect(try HeartbeatRequest(json: request.json()) == request)
        let answer = HeartbeatAnswer(
            origins: [.init(id: "o1", url: "https://a")], linkTTLSeconds: 900, keysVersion: "k1",
            unixTimeMilliseconds: 1)
        #expect(
            try text(answer)
                == #"{"keys_version":"k1","link_ttl_seconds":900,"origins":[{"id":"o1","url":"https://a"}],"#
                + #""unix_time_ms":1}"#)
        #expect(try HeartbeatAnswer(json: answer.json()) == answer)
    }

    @Test("keys show their secrets in the message alone")
    func keys() throws {
        let secret = [UInt8](repeating: 0xFF, count: 32)
        let answer = KeysAnswer(
            linkTTLSeconds: 900, keysVersion: "7", keys: [.init(id: "k1", secret: secret, state: .current)])
        let encoded = String(repeating: "_", count: 42) + "8"
        #expect(
            try text(answer)
                == #"{"keys":[{"id":"k1","secret":"\#(encoded)","state":"current"}],"keys_version":"7","#
                + #""link_ttl_seconds":900}"#)
        let decoded = try KeysAnswer(json: answer.json())
        #expect(decoded == answer)
        #expect(decoded.keys.first?.secretBytes == secret)
        var dumped = ""
        dump(answer, to: &dumped)
        for shown in ["\(answer)", String(reflecting: answer), dumped] { #expect(!shown.contains("____")) }
        var broken = answer
        broken.keys[0].secret = "AAAA"
        #expect(broken.keys[0].secretBytes == nil)
    }

    @Test("fills")
    func fills() throws {
        let digest = try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: 0, count: 32)))
        let answer = FillsAnswer(
            digest: digest, sizeBytes: 5,
            parents: [.init(kind: .edge, url: "http://a/b"), .init(kind: .origin, url: "http://c")])
        #expect(
            try text(answer) == #"{"digest":"\#(digest)","parents":[{"kind":"edge","url":"http://a/b"},"#
                + #"{"kind":"origin","url":"http://c"}],"size":5}"#)
        #expect(try FillsAnswer(json: answer.json()) == answer)
        #expect(try text(FillsRequest(link: "/b/v1/x?a=b&c=d")) == #"{"link":"/b/v1/x?a=b&c=d"}"#)
        #expect(EdgeAPIPath.pieces(of: digest) == "/edge/v1/blobs/\(digest)/pieces")
    }

    @Test(
        "lines of the control connection",
        arguments: [
            (.hello(originID: "o", keysVersion: "1"), #"{"keys_version":"1","origin_id":"o","type":"hello"}"#),
            (.tick(unixTimeMilliseconds: 5), #"{"type":"tick","unix_time_ms":5}"#),
            (.keys(version: "2"), #"{"keys_version":"2","type":"keys"}"#),
            (.feed(cursor: 3), #"{"cursor":3,"type":"feed"}"#), (.other(type: "new"), #"{"type":"new"}"#),
        ] as [(ControlLine, String)])
    func control(line: ControlLine, expected: String) throws {
        #expect(try text(line) == expected)
        #expect(try ControlLine(json: line.json()) == line)
    }

    @Test("fields of a later version are ignored; what is missing, ambiguous or too long is refused")
    func strictness() throws {
        #expect(
            try ControlLine(json: Array(#"{"type":"tick","unix_time_ms":5,"x":[1]}"#.utf8))
                == .tick(unixTimeMilliseconds: 5))
        let refused = [
            "", "{}", "[]", #"{"type":"tick"}"#, #"{"type":"tick","unix_time_ms":"5"}"#,
            #"{"type":"tick","type":"feed","cursor":1}"#, #"{"type":"tick","unix_time_ms":5} x"#,
            #"{"type":"tick","unix_time_ms":1e30}"#, #"{"type":""# + String(repeating: "x", count: 20_000) + #""}"#,
        ]
        for text in refused {
            #expect(throws: EdgeMessageError.self) { try ControlLine(json: Array(text.utf8)) }
        }
    }
}
