// SPDX-License-Identifier: Apache-2.0

import EdgeDelivery
import OCI
import SignedURL
import Testing

@Suite("What a request at the edge asks for")
struct DeliveryPlanTests {
    private static let now: Int64 = 1_800_000_000
    private let key: LinkKey
    private let verifier: LinkVerifier
    private let link: Link
    private let target: String

    init() throws {
        let master = LinkMaster(id: "k1", secret: Array(0..<32))
        key = LinkKey.derive(from: master, edgeID: "edge1")
        verifier = LinkVerifier(edgeID: "edge1", keys: [key], timeToLive: .seconds(900))
        let digest = try #require(Digest(algorithm: .sha256, bytes: Array(repeating: UInt8(7), count: 32)))
        link = Link(
            digest: digest, edgeID: "edge1", expiry: Self.now + 900, keyID: "k1", sizeBytes: 1000, tenant: "t1")
        target = LinkSigner.target(for: link, key: key)
    }

    private func plan(
        _ method: String = "GET",
        target: String? = nil,
        headers: [(String, String)] = [],
        now: Int64 = DeliveryPlanTests.now
    ) -> DeliveryPlan? {
        let lines = ["\(method) \(target ?? self.target) HTTP/1.1", "Host: edge"] + headers.map { "\($0): \($1)" }
        let text = lines.map { $0 + "\r\n" }.joined() + "\r\n"
        let answer = Array(text.utf8).withUnsafeBytes { RequestReader.read($0) }
        guard case .request(let request, _) = answer else { return nil }
        return DeliveryPlan(request, verifier: verifier, now: now)
    }

    private func status(_ plan: DeliveryPlan?) -> Int? {
        if case .refuse(let refusal) = plan { refusal.status } else { nil }
    }

    @Test("a good link is served whole, in part, or not at all, as its Range says")
    func ranges() {
        #expect(plan() == .send(link, 0..<1000, isPart: false))
        #expect(plan(headers: [("Range", "bytes=10-19")]) == .send(link, 10..<20, isPart: true))
        #expect(plan(headers: [("Range", "bytes=0-")]) == .send(link, 0..<1000, isPart: true))
        #expect(plan(headers: [("Range", "bytes=1000-")]) == .unsatisfiable(link))
        #expect(
            plan(headers: [("Range", "bytes=0-1"), ("Range", "bytes=2-3")]) == .send(link, 0..<1000, isPart: false))
    }

    @Test("If-Range lets a range through only for this digest")
    func ifRange() {
        let range = ("Range", "bytes=10-19")
        #expect(plan(headers: [range, ("If-Range", "\"\(link.digest)\"")]) == .send(link, 10..<20, isPart: true))
        #expect(plan(headers: [range, ("If-Range", "\"other\"")]) == .send(link, 0..<1000, isPart: false))
    }

    @Test("If-None-Match of this digest is 304; HEAD ignores Range")
    func conditions() {
        #expect(plan(headers: [("If-None-Match", "\"\(link.digest)\"")]) == .notModified(link))
        #expect(plan("HEAD", headers: [("Range", "bytes=0-1")]) == .exists(link, isHead: true))
    }

    @Test(
        "the method is judged before the link",
        arguments: ["PUT", "POST", "DELETE", "OPTIONS", "TRACE", "get", "CONNECT"])
    func methods(method: String) {
        #expect(status(plan(method, target: "/nothing")) == 405)
    }

    @Test("outside of the grammar is 400, a wrong link 403, an expired one says so")
    func refusals() {
        #expect(status(plan(target: target.replacing("sha256", with: "%73ha256"))) == 400)
        #expect(status(plan(target: "/")) == 400)
        #expect(status(plan(target: target.replacing("edge1", with: "edge2"))) == 403)
        let late = plan(now: Self.now + 900 + 61)
        #expect(
            late == .refuse(DeliveryPlan.Refusal(status: 403, message: "this link has expired", reason: "expired")))
        #expect(plan(now: Self.now + 900 + 60) == .send(link, 0..<1000, isPart: false))
    }

    @Test("a request with a body is refused and its connection closed")
    func bodies() {
        for header in [("Content-Length", "5"), ("Transfer-Encoding", "chunked")] {
            guard case .refuse(let refusal) = plan(headers: [header]) else {
                Issue.record("accepted \(header)")
                continue
            }
            #expect(refusal.status == 400)
            #expect(refusal.closes)
        }
        #expect(plan(headers: [("Content-Length", "0")]) == .send(link, 0..<1000, isPart: false))
    }

    @Test("an empty blob is looked for before it is answered")
    func emptyBlob() {
        let empty = Link(
            digest: link.digest, edgeID: "edge1", expiry: Self.now + 900, keyID: "k1", sizeBytes: 0, tenant: "t1")
        let target = LinkSigner.target(for: empty, key: key)
        #expect(plan(target: target) == .exists(empty, isHead: false))
        #expect(plan(target: target, headers: [("Range", "bytes=0-0")]) == .unsatisfiable(empty))
    }

    @Test("Authorization is ignored")
    func authorization() {
        #expect(plan(headers: [("Authorization", "Bearer x")]) == .send(link, 0..<1000, isPart: false))
    }
}
