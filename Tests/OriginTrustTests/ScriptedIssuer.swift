// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import Logging
import LoopbackServer
import OCI
import OriginTrust
import Synchronization
import Telemetry

/// An issuer on the loopback that answers whatever a test wants.
final class ScriptedIssuer: Sendable {
    enum Answer: Sendable {
        case json(JSONValue)
        /// Byte for byte.
        case raw(String)
        /// The same, and the end of the connection.
        case hangUp(String)
        /// A body that does not end.
        case endless
        /// Opens the first gate, and answers when the second one is open.
        case held(asked: Gate, release: Gate, JSONValue)
    }

    static let configurationPath = "/.well-known/openid-configuration"
    static let keysPath = "/keys"

    private final class Book: Sendable {
        struct State {
            var answers: [String: Answer] = [:]
            var askedCounts: [String: Int] = [:]
        }

        let state = Mutex(State())

        func answer(to path: String) -> Answer {
            state.withLock { state in
                state.askedCounts[path, default: 0] += 1
                return state.answers[path] ?? .raw("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            }
        }
    }

    private let book: Book
    private let server: ScriptedServer

    /// Honest, to begin with.
    init(keys: JSONValue...) throws {
        let book = Book()
        self.book = book
        server = try ScriptedServer { peer in
            while let request = peer.request() {
                let words = request.head.split(separator: " ")
                guard Self.send(book.answer(to: words.count > 1 ? String(words[1]) : ""), to: peer) else { return }
            }
        }
        setConfiguration()
        setKeys(keys)
    }

    var url: String { server.url }

    func set(_ path: String, _ answer: Answer) { book.state.withLock { $0.answers[path] = answer } }

    func setConfiguration(issuer: String? = nil, keysURL: String? = nil) {
        set(
            Self.configurationPath,
            .json(
                .object([
                    JSONMember(name: "issuer", value: .string(issuer ?? url)),
                    JSONMember(name: "jwks_uri", value: .string(keysURL ?? url + Self.keysPath)),
                ])))
    }

    func setKeys(_ keys: [JSONValue]) { set(Self.keysPath, .json(Self.keySet(keys))) }

    static func keySet(_ keys: [JSONValue]) -> JSONValue { .object([JSONMember(name: "keys", value: .array(keys))]) }

    /// Answers everything with an error until `setConfiguration` and `setKeys`.
    func goAway() {
        for path in [Self.configurationPath, Self.keysPath] {
            set(path, .raw("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"))
        }
    }

    func askedCount(_ path: String = keysPath) -> Int { book.state.withLock { $0.askedCounts[path] ?? 0 } }

    func close() { server.close() }

    private static func send(_ answer: Answer, to peer: Peer) -> Bool {
        switch answer {
        case .json(let value):
            return peer.answer(String(decoding: value.encode(), as: UTF8.self))
        case .raw(let text):
            return peer.send(text)
        case .hangUp(let text):
            peer.send(text)
            return false
        case .endless:
            peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while peer.send(String(repeating: " ", count: 4096)) {}
            return false
        case .held(let asked, let release, let value):
            asked.open()
            release.block()
            return peer.answer(String(decoding: value.encode(), as: UTF8.self))
        }
    }
}

/// A verifier whose clock stands still, for issuers on the loopback.
struct VerifierFixture: Sendable {
    let clock = TestClock()
    let metrics = Metrics()
    let verifier: TrustVerifier

    /// - Parameter fetchTimeout: Long: the machine may be busy with other tests.
    init(privateHosts: Set<String> = ["127.0.0.1"], fetchTimeout: Duration = .seconds(60)) throws {
        verifier = TrustVerifier(
            fetcher: try Fetcher(name: "trust"), privateHosts: privateHosts, fetchTimeout: fetchTimeout,
            clock: clock.trustClock,
            logger: Logger(label: "trust") { _ in SwiftLogNoOpLogHandler() }, metrics: metrics)
    }

    /// The fault of a token; `nil` if it is verified.
    func fault(_ token: String) async throws -> TrustFault? {
        do throws(TrustFault) {
            _ = try await verifier.verify(IdentityToken(token))
            return nil
        } catch {
            return error
        }
    }
}
