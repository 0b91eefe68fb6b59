// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Hashing
import Testing

@Suite("Signed requests and answers")
struct RequestSignatureTests {
    private static let now: Int64 = 1_800_000_000
    private static let body = Array(#"{"link":"/b/v1/…"}"#.utf8)

    private let keys = JoinKeys(secret: Array(repeating: 1, count: 32), edgeID: "edge1")
    private let verifier = RequestVerifier(nonceCountMax: 4)

    private func headers(
        nonce: String = RequestSigner.newNonce(),
        at now: Int64 = now,
        keys: JoinKeys? = nil
    ) -> [String: String] {
        let signed = RequestSigner(keys: keys ?? self.keys)
            .headers(method: "POST", path: EdgeAPIPath.fills, body: Self.body, now: now, nonce: nonce)
        return Dictionary(signed, uniquingKeysWith: { first, _ in first })
    }

    /// Why the request is refused; `nil` if it is not.
    private func refusal(
        _ headers: [String: String],
        method: String = "POST",
        path: String = EdgeAPIPath.fills,
        body: [UInt8] = body,
        now: Int64 = now
    ) -> RequestRefusal? {
        do throws(RequestRefusal) {
            let request = try verifier.verify(
                method: method, path: path, header: { headers[$0] }, body: body, now: now,
                keys: { $0 == keys.edgeID ? keys : nil })
            return request.edgeID == keys.edgeID ? nil : .notGenuine
        } catch {
            return error
        }
    }

    @Test("a signed request is accepted, once")
    func once() {
        let headers = headers()
        #expect(refusal(headers) == nil)
        #expect(refusal(headers) == .replayed)
    }

    @Test("a change of anything that is signed is noticed")
    func tampering() {
        let headers = headers()
        #expect(refusal(headers, method: "GET") == .notGenuine)
        #expect(refusal(headers, path: EdgeAPIPath.fills + "?x=1") == .notGenuine)
        #expect(refusal(headers, path: EdgeAPIPath.keys) == .notGenuine)
        #expect(refusal(headers, body: Self.body + [0]) == .notGenuine)
        #expect(refusal(headers, body: []) == .notGenuine)
        for (name, value) in [
            (EdgeAPIHeader.timestamp, String(Self.now + 1)), (EdgeAPIHeader.timestamp, "+\(Self.now)"),
            (EdgeAPIHeader.timestamp, "0\(Self.now)"), (EdgeAPIHeader.timestamp, ""),
            (EdgeAPIHeader.timestamp, "9999999999999999999"),
            (EdgeAPIHeader.nonce, RequestSigner.newNonce()), (EdgeAPIHeader.nonce, ""), (EdgeAPIHeader.nonce, "xyz"),
            (EdgeAPIHeader.edge, "edge2"), (EdgeAPIHeader.signature, String(repeating: "A", count: 43)),
            (EdgeAPIHeader.signature, ""), (EdgeAPIHeader.signature, "?"),
        ] {
            var changed = headers
            changed[name] = value
            #expect(refusal(changed) == .notGenuine, "\(name): \(value)")
        }
        for name in headers.keys {
            var changed = headers
            changed[name] = nil
            #expect(refusal(changed) == .notGenuine, "without \(name)")
        }
        #expect(refusal(headers) == nil)
    }

    @Test("another edge's key, and the same secret under another id, are foreign")
    func foreignKeys() {
        for keys in [
            JoinKeys(secret: Array(repeating: 2, count: 32), edgeID: "edge1"),
            JoinKeys(secret: Array(repeating: 1, count: 32), edgeID: "edge2"),
        ] {
            var headers = headers(keys: keys)
            headers[EdgeAPIHeader.edge] = "edge1"
            #expect(refusal(headers) == .notGenuine)
        }
    }

    @Test(
        "a clock may be off by a minute",
        arguments: [(-61, false), (-60, true), (60, true), (61, false)] as [(Int64, Bool)])
    func clock(seconds: Int64, isAccepted: Bool) {
        #expect(refusal(headers(at: Self.now + seconds)) == (isAccepted ? nil : .clockOff(bySeconds: seconds)))
        #expect(refusal(headers(at: .max), now: -2) == .clockOff(bySeconds: .max))
    }

    @Test("the edge's bound on nonces frees itself as they expire")
    func window() {
        for _ in 0..<4 { #expect(refusal(headers()) == nil) }
        #expect(refusal(headers()) == .tooMany)
        let later = Self.now + 180
        #expect(refusal(headers(at: later), now: later) == nil)
    }

    @Test("a nonce is remembered for as long as its timestamp is acceptable")
    func replayAcrossMinutes() {
        for sentAt in [Self.now, Self.now + 59, Self.now + 60] {
            let headers = headers(at: sentAt)
            #expect(refusal(headers, now: Self.now) == nil)
            for now in stride(from: sentAt, through: sentAt + 60, by: 5) {
                #expect(refusal(headers, now: now) == .replayed)
            }
            #expect(refusal(headers, now: sentAt + 61) == .clockOff(bySeconds: -61))
        }
    }

    @Test("an answer belongs to one request, and comes from who has the answer key")
    func answer() throws {
        let signer = RequestSigner(keys: keys)
        let nonce = RequestSigner.newNonce()
        let headers = headers(nonce: nonce)
        let request = try verifier.verify(
            method: "POST", path: EdgeAPIPath.fills, header: { headers[$0] }, body: Self.body, now: Self.now,
            keys: { _ in keys })
        let answer = Array("answer".utf8)
        let mac = request.answerMAC(path: EdgeAPIPath.fills, status: 200, body: answer)
        let path = EdgeAPIPath.fills
        #expect(signer.verifyAnswer(mac: mac, nonce: nonce, path: path, status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: nil, nonce: nonce, path: path, status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: "", nonce: nonce, path: path, status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: mac + "A", nonce: nonce, path: path, status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: mac, nonce: RequestSigner.newNonce(), path: path, status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: mac, nonce: nonce, path: path + "?", status: 200, body: answer))
        #expect(!signer.verifyAnswer(mac: mac, nonce: nonce, path: path, status: 404, body: answer))
        #expect(!signer.verifyAnswer(mac: mac, nonce: nonce, path: path, status: 200, body: answer + [0]))
        let other = RequestSigner(keys: JoinKeys(secret: Array(repeating: 2, count: 32), edgeID: "edge1"))
        #expect(!other.verifyAnswer(mac: mac, nonce: nonce, path: path, status: 200, body: answer))
    }
}
