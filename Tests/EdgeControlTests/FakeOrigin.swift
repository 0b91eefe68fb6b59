// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Glibc
import Hashing
import LoopbackServer
import OCI
import SignedURL
import Synchronization

/// An origin's `/edge/v1` on the loopback: it checks signatures, and answers as a test wants.
final class FakeOrigin: Sendable {
    enum MACMode: Sendable { case right, missing, wrong }
    enum ControlMode: Sendable { case ticking, mute, closing, refusing }

    struct Behaviour: Sendable {
        var mac = MACMode.right
        var control = ControlMode.ticking
        var keysVersion = "v1"
        var keyIDs = ["k1"]
        /// Named beside this one.
        var others: [String] = []
        var fills: FillsAnswer?
        var pieces: [UInt8]?
    }

    struct Seen: Sendable {
        var heartbeats: [HeartbeatRequest] = []
        var keyRequestCount = 0
        var controlOpenedCount = 0
        var controlClosedCount = 0
        var refusals: [RequestRefusal] = []
        var links: [String] = []
    }

    let seen = Watched(Seen())
    private let behaviour: Mutex<Behaviour>
    private let server = Mutex<ScriptedServer?>(nil)
    private let verifier = RequestVerifier()
    private let credentialKeys: JoinKeys
    private let edgeID: String

    static let secret = [UInt8](repeating: 3, count: JoinCredential.secretBytes)

    init(edgeID: String = "edge1", _ behaviour: Behaviour = Behaviour()) throws {
        self.behaviour = Mutex(behaviour)
        self.edgeID = edgeID
        credentialKeys = JoinKeys(secret: Self.secret, edgeID: edgeID)
        let started = try ScriptedServer { [weak self] peer in
            while let request = peer.request() {
                guard let self, self.answer(request, peer) else { return }
            }
        }
        server.withLock { $0 = started }
    }

    /// Perhaps on a script's own thread, which cannot wait for itself.
    deinit { server.withLock { $0 }?.stop() }

    var url: String { server.withLock { $0?.url } ?? "http://127.0.0.1:1" }

    func close() { server.withLock { $0 }?.close() }

    func change(_ change: (inout Behaviour) -> Void) { behaviour.withLock { change(&$0) } }

    /// The key that links for the edge are signed with.
    func linkKey(_ id: String) -> LinkKey {
        LinkKey.derive(from: LinkMaster(id: id, secret: Array(repeating: 9, count: 32)), edgeID: edgeID)
    }

    private func answer(_ request: Peer.Request, _ peer: Peer) -> Bool {
        let words = request.head.prefix { $0 != "\r\n" }.split(separator: " ")
        let (method, path) = (String(words[0]), String(words[1]))
        let verified: VerifiedRequest
        do throws(RequestRefusal) {
            verified = try verifier.verify(
                method: method,
                path: path,
                header: { request.header($0) },
                body: request.body,
                now: Int64(time(nil)),
                keys: { $0 == edgeID ? credentialKeys : nil }
            )
        } catch {
            seen.change { $0.refusals.append(error) }
            return send(peer, 401, [])
        }
        let behaviour = behaviour.withLock { $0 }
        switch (method, path) {
        case ("POST", EdgeAPIPath.heartbeat): return heartbeat(request, verified, peer, behaviour)
        case ("GET", EdgeAPIPath.keys):
            seen.change { $0.keyRequestCount += 1 }
            let keys = behaviour.keyIDs.map { KeysAnswer.Key(id: $0, secret: linkKey($0).secret, state: .current) }
            let body = try? KeysAnswer(linkTTLSeconds: 900, keysVersion: behaviour.keysVersion, keys: keys).json()
            return send(peer, 200, body ?? [], verified, path, behaviour)
        case ("GET", EdgeAPIPath.control): return control(peer, behaviour)
        case ("POST", EdgeAPIPath.fills):
            seen.change { $0.links.append((try? FillsRequest(json: request.body).link) ?? "?") }
            guard let body = try? behaviour.fills?.json() else {
                return send(peer, 404, [], verified, path, behaviour)
            }
            return send(peer, 200, body, verified, path, behaviour)
        default:
            guard let body = behaviour.pieces else { return send(peer, 404, [], verified, path, behaviour) }
            return send(peer, 200, body, verified, path, behaviour)
        }
    }

    private func heartbeat(
        _ request: Peer.Request,
        _ verified: VerifiedRequest,
        _ peer: Peer,
        _ behaviour: Behaviour
    ) -> Bool {
        guard let heartbeat = try? HeartbeatRequest(json: request.body) else { return send(peer, 400, []) }
        seen.change { $0.heartbeats.append(heartbeat) }
        let origins = ([url] + behaviour.others).map { HeartbeatAnswer.Origin(id: "o", url: $0) }
        let answer = HeartbeatAnswer(
            origins: origins,
            linkTTLSeconds: 900,
            keysVersion: behaviour.keysVersion,
            unixTimeMilliseconds: Int64(time(nil)) * 1000
        )
        return send(peer, 200, (try? answer.json()) ?? [], verified, EdgeAPIPath.heartbeat, behaviour)
    }

    private func control(_ peer: Peer, _ behaviour: Behaviour) -> Bool {
        guard behaviour.control != .refusing else { return send(peer, 503, []) }
        seen.change { $0.controlOpenedCount += 1 }
        defer { seen.change { $0.controlClosedCount += 1 } }
        let hello = (try? ControlLine.hello(originID: "o", keysVersion: behaviour.keysVersion).json()) ?? []
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
        peer.send(hello + Array("\n".utf8))
        switch behaviour.control {
        case .closing, .refusing: return false
        case .mute: peer.waitForHangUp()
        case .ticking:
            while !peer.hangsUp(withinMilliseconds: 20) {
                guard peer.send("{\"type\":\"tick\",\"unix_time_ms\":0}\n") else { break }
            }
        }
        return false
    }

    private func send(
        _ peer: Peer,
        _ status: Int,
        _ body: [UInt8],
        _ verified: VerifiedRequest,
        _ path: String,
        _ behaviour: Behaviour
    ) -> Bool {
        switch behaviour.mac {
        case .right: send(peer, status, body, mac: verified.answerMAC(path: path, status: status, body: body))
        case .wrong: send(peer, status, body, mac: verified.answerMAC(path: path, status: status, body: body + [0]))
        case .missing: send(peer, status, body)
        }
    }

    private func send(_ peer: Peer, _ status: Int, _ body: [UInt8], mac: String? = nil) -> Bool {
        let mac = mac.map { "Depot-MAC: \($0)\r\n" } ?? ""
        return peer.send("HTTP/1.1 \(status) X\r\nContent-Length: \(body.count)\r\n\(mac)\r\n") && peer.send(body)
    }
}

/// A value that a test can wait on.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var waiters: [(isMet: @Sendable (Value) -> Bool, continuation: CheckedContinuation<Value, Never>)] = []
    }

    private let state: Mutex<State>

    init(_ value: Value) { state = Mutex(State(value: value)) }

    var value: Value { state.withLock { $0.value } }

    func change(_ change: (inout Value) -> Void) {
        let (value, met) = state.withLock { state in
            change(&state.value)
            let met = state.waiters.filter { $0.isMet(state.value) }
            state.waiters.removeAll { $0.isMet(state.value) }
            return (state.value, met)
        }
        for waiter in met { waiter.continuation.resume(returning: value) }
    }

    /// Suspends until the condition holds.
    @discardableResult
    func wait(until isMet: @escaping @Sendable (Value) -> Bool) async -> Value {
        await withCheckedContinuation { continuation in
            let value: Value? = state.withLock { state in
                if isMet(state.value) { return state.value }
                state.waiters.append((isMet, continuation))
                return nil
            }
            if let value { continuation.resume(returning: value) }
        }
    }
}
