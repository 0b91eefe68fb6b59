// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import EdgeControl
import EdgeProtocol
import Glibc
import HTTPFetch
import Hashing
import Logging
import OCI
import SignedURL
import Telemetry
import Testing

/// The edge's side against origins on the loopback.
@Suite(.timeLimit(.minutes(1)))
struct ServiceTests {
    private let directory: String
    private let fetcher: Fetcher
    private let pool = BlockingPool(name: "disk", threadCount: 1, queueCountMax: 8)
    private let digest: Digest

    init() throws {
        directory = "/tmp/depot-edge-control-\(getpid())-\(SecureRandom.label(8))"
        try Directory.create(directory, permissions: 0o700)
        fetcher = try Fetcher(name: "control")
        digest = try #require(Digest(algorithm: .sha256, hex: String(repeating: "ab", count: 32)))
    }

    private var keysPath: String { directory + "/keys.json" }

    private func service(
        _ origin: String,
        edgeID: String = "edge1",
        allowsPlainHTTP: Bool = false,
        timing: (inout ControlTiming) -> Void = { _ in }
    ) throws -> EdgeControlService {
        let credential = try #require(JoinCredential(edgeID: edgeID, secret: FakeOrigin.secret, originURL: origin))
        var configuration = EdgeControlService.Configuration(
            credential: credential,
            keysPath: keysPath,
            listenURL: "http://127.0.0.2:5",
            version: "1",
            allowsPlainHTTP: allowsPlainHTTP
        )
        configuration.timing.heartbeatInterval = .milliseconds(30)
        configuration.timing.alarmInterval = .milliseconds(5)
        configuration.timing.retryMin = .milliseconds(5)
        configuration.timing.retryMax = .milliseconds(20)
        configuration.timing.answerTimeout = .seconds(10)
        timing(&configuration.timing)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return try EdgeControlService(
            configuration,
            fetcher: fetcher,
            pool: pool,
            load: { EdgeLoad(inflightRequestCount: 3, freeBytes: 100, capacityBytes: 200) },
            metrics: Metrics(),
            logger: logger
        )
    }

    /// Runs the service beside `body`, and ends both.
    private func running(_ service: EdgeControlService, _ body: () async throws -> Void) async throws {
        let task = Task { await service.run() }
        do {
            try await body()
        } catch {
            task.cancel()
            await task.value
            throw error
        }
        task.cancel()
        await task.value
    }

    private func eventually(_ condition: () -> Bool) async { while !condition() { await Task.yield() } }

    private func target(_ origin: FakeOrigin, key: String = "k1") -> String {
        let link = Link(
            digest: digest,
            edgeID: "edge1",
            expiry: Int64(time(nil)) + 100,
            keyID: key,
            sizeBytes: 10,
            tenant: "t"
        )
        return LinkSigner.target(for: link, key: origin.linkKey(key))
    }

    private func isVerified(_ target: String, by service: EdgeControlService) -> Bool {
        (try? service.verifier().verify(target: target, now: Int64(time(nil)))) != nil
    }

    // MARK: Joining and keys

    @Test("an edge joins: keys verify links and rest on disk, one control connection, heartbeats that tell")
    func joins() async throws {
        let origin = try FakeOrigin()
        let service = try service(origin.url)
        #expect(!service.hasKeys)
        #expect(!isVerified(target(origin), by: service))
        try await running(service) {
            await service.waitForKeys()
            #expect(isVerified(target(origin), by: service))
            await eventually { service.connectedOriginCount == 1 }
            let seen = await origin.seen.wait { $0.heartbeats.count >= 3 }
            let heartbeat = try #require(seen.heartbeats.first)
            #expect(heartbeat.inflightRequests == 3)
            #expect(heartbeat.freeBytes == 100)
            #expect(heartbeat.capacityBytes == 200)
            #expect(heartbeat.url == "http://127.0.0.2:5")
            #expect(!heartbeat.isDraining)
            #expect(abs(heartbeat.unixTimeMilliseconds / 1000 - Int64(time(nil))) < 60)
            #expect(seen.controlOpenedCount == 1)
            #expect(seen.refusals.isEmpty)
            await eventually { (try? Directory.exists(keysPath)) == true }
        }
        await origin.seen.wait { $0.controlClosedCount == 1 }
        var status = stat()
        #expect(stat(keysPath, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test("a restart with the origin away verifies links with the keys on disk, if they are this edge's")
    func restart() async throws {
        let origin = try FakeOrigin()
        let first = try service(origin.url)
        try await running(first) {
            await first.waitForKeys()
            await eventually { (try? Directory.exists(keysPath)) == true }
        }
        let target = target(origin)
        origin.close()
        #expect(isVerified(target, by: try service("http://127.0.0.1:1")))
        #expect(!(try service("http://127.0.0.1:1", edgeID: "edge2").hasKeys))
        try AtomicFile.write(Array("{".utf8), to: keysPath)
        #expect(!(try service("http://127.0.0.1:1").hasKeys))
    }

    @Test(
        "keys and heartbeat answers without a valid MAC are refused",
        arguments: [FakeOrigin.MACMode.missing, .wrong]
    )
    func forgedKeys(mac: FakeOrigin.MACMode) async throws {
        let second = try FakeOrigin()
        let origin = try FakeOrigin(FakeOrigin.Behaviour(mac: mac, others: [second.url]))
        let service = try service(origin.url)
        try await running(service) {
            await origin.seen.wait { $0.keyRequestCount >= 3 }
            #expect(!service.hasKeys)
            #expect(second.seen.value.heartbeats.isEmpty)
            origin.change { $0.mac = .right }
            await service.waitForKeys()
            await second.seen.wait { !$0.heartbeats.isEmpty }
        }
    }

    @Test("a new version of the keys is fetched")
    func newVersion() async throws {
        let origin = try FakeOrigin()
        let service = try service(origin.url)
        try await running(service) {
            await service.waitForKeys()
            origin.change {
                $0.keyIDs = ["k1", "k2"]
                $0.keysVersion = "v2"
            }
            await eventually { isVerified(target(origin, key: "k2"), by: service) }
            #expect(isVerified(target(origin), by: service))
            #expect(origin.seen.value.keyRequestCount == 2)
        }
    }

    @Test("an unknown key leads to one request for keys, a forged link to none")
    func unknownKey() async throws {
        let origin = try FakeOrigin()
        let service = try service(origin.url)
        try await running(service) {
            await service.waitForKeys()
            service.refused(target: target(origin))
            service.refused(target: "/b/v1/sha256/x?a=edge1")
            for _ in 0..<5 { service.refused(target: target(origin, key: "k9")) }
            await origin.seen.wait { $0.keyRequestCount == 2 }
            let heartbeatCount = origin.seen.value.heartbeats.count
            await origin.seen.wait { $0.heartbeats.count > heartbeatCount + 5 }
            #expect(origin.seen.value.keyRequestCount == 2)
        }
    }

    @Test("plain http is refused away from the loopback, unless it is allowed")
    func plainHTTP() throws {
        let error = #expect(throws: EdgeControlError.self) { _ = try service("http://192.0.2.1") }
        #expect(error?.kind == .origin)
        #expect(throws: EdgeControlError.self) { _ = try service("https://o.example/base") }
        _ = try service("http://192.0.2.1", allowsPlainHTTP: true)
        _ = try service("https://192.0.2.1")
    }

    // MARK: Control connection

    @Test(
        "a control connection that ends or cannot be had is opened again",
        arguments: [FakeOrigin.ControlMode.closing, .refusing]
    )
    func reconnects(mode: FakeOrigin.ControlMode) async throws {
        let origin = try FakeOrigin(FakeOrigin.Behaviour(control: mode))
        let service = try service(origin.url)
        try await running(service) {
            await origin.seen.wait { $0.controlOpenedCount >= (mode == .closing ? 3 : 0) && $0.heartbeats.count > 3 }
            origin.change { $0.control = .ticking }
            await eventually { service.connectedOriginCount == 1 }
        }
        #expect(service.connectedOriginCount == 0)
    }

    @Test("silence ends the control connection, and a new one is opened")
    func silence() async throws {
        let origin = try FakeOrigin(FakeOrigin.Behaviour(control: .mute))
        let service = try service(origin.url) { $0.silenceMax = .milliseconds(100) }
        try await running(service) { await origin.seen.wait { $0.controlClosedCount >= 2 } }
    }

    @Test("every origin that is named gets a heartbeat and a connection; a new edge stays with what is admissible")
    func severalOrigins() async throws {
        let second = try FakeOrigin()
        let first = try FakeOrigin(FakeOrigin.Behaviour(others: [second.url, "http://192.0.2.1", "nonsense"]))
        let service = try service(first.url)
        try await running(service) {
            await second.seen.wait { $0.heartbeats.count >= 2 && $0.controlOpenedCount == 1 }
            await eventually { service.connectedOriginCount == 2 }
        }
    }

    @Test("draining is told at once, and again in later heartbeats")
    func drain() async throws {
        let origin = try FakeOrigin()
        let service = try service(origin.url)
        try await running(service) {
            await origin.seen.wait { $0.heartbeats.count >= 1 }
            await service.beginDrain()
            #expect(origin.seen.value.heartbeats.contains { $0.isDraining })
            await origin.seen.wait { $0.heartbeats.filter(\.isDraining).count >= 3 }
        }
    }

    // MARK: Parents and piece lists

    private func fills(_ urls: [String], digest other: Digest? = nil) -> FillsAnswer {
        FillsAnswer(digest: other ?? digest, sizeBytes: 10, parents: urls.map { .init(kind: .edge, url: $0) })
    }

    @Test("parents come in the origin's order, without those that may not be asked")
    func parents() async throws {
        let urls = ["https://a/b/v1/x?g=1", "http://192.0.2.1/b/v1/x", "http://127.0.0.1:9/b/v1/x", "nonsense"]
        let origin = try FakeOrigin(FakeOrigin.Behaviour(fills: fills(urls)))
        let target = target(origin)
        let parents = try await service(origin.url).parents(forLink: target)
        #expect(parents == FillParents(sizeBytes: 10, urls: [urls[0], urls[2]]))
        #expect(origin.seen.value.links == [target])
    }

    @Test("no blob, no usable parent, another blob's parents, or no origin: told apart")
    func noParents() async throws {
        let origin = try FakeOrigin()
        let service = try service(origin.url)
        let target = target(origin)
        await #expect(throws: ParentDirectoryError.notFound) { _ = try await service.parents(forLink: target) }
        origin.change { $0.mac = .missing }
        let unproven = await #expect(throws: ParentDirectoryError.self) {
            _ = try await service.parents(forLink: target)
        }
        #expect(unproven != .notFound)
        origin.change { $0.mac = .right }
        let other = try #require(Digest(algorithm: .sha256, hex: String(repeating: "cd", count: 32)))
        for answer in [fills(["http://192.0.2.1/x"]), fills([]), fills(["https://a/x"], digest: other)] {
            origin.change { $0.fills = answer }
            let error = await #expect(throws: ParentDirectoryError.self) {
                _ = try await service.parents(forLink: target)
            }
            #expect(error != .notFound)
        }
        origin.close()
        let error = await #expect(throws: ParentDirectoryError.self) { _ = try await service.parents(forLink: target) }
        #expect(error != .notFound)
    }

    @Test("an origin that cannot be reached is passed over for the next one")
    func failover() async throws {
        let second = try FakeOrigin(FakeOrigin.Behaviour(fills: fills(["https://a/x"])))
        let first = try FakeOrigin(FakeOrigin.Behaviour(others: [second.url]))
        let service = try service(first.url)
        try await running(service) {
            await second.seen.wait { $0.heartbeats.count >= 1 }
            let target = target(first)
            first.close()
            let parents = try await service.parents(forLink: target)
            #expect(parents.urls == ["https://a/x"])
        }
    }

    @Test("a piece list is taken with its MAC, and refused without, with another blob's length, or absent")
    func pieceList() async throws {
        let raw = [UInt8](repeating: 5, count: 64)
        let origin = try FakeOrigin(FakeOrigin.Behaviour(pieces: raw))
        let service = try service(origin.url)
        let sizeBytes = PieceList.pieceBytes + 1
        let list = try await service.pieceList(of: digest, sizeBytes: sizeBytes)
        #expect(list.rawDigests == raw)
        for wrongSizeBytes in [0, PieceList.pieceBytes, 3 * PieceList.pieceBytes, -1, .max] {
            await #expect(throws: ParentDirectoryError.self) {
                _ = try await service.pieceList(of: digest, sizeBytes: wrongSizeBytes)
            }
        }
        for mac in [FakeOrigin.MACMode.missing, .wrong] {
            origin.change { $0.mac = mac }
            let error = await #expect(throws: ParentDirectoryError.self) {
                _ = try await service.pieceList(of: digest, sizeBytes: sizeBytes)
            }
            #expect(error != .notFound)
        }
        origin.change {
            $0.mac = .right
            $0.pieces = nil
        }
        await #expect(throws: ParentDirectoryError.notFound) {
            _ = try await service.pieceList(of: digest, sizeBytes: sizeBytes)
        }
    }

    // MARK: Credential file

    @Test("the credential file may have white space around, and nothing else")
    func joinFile() throws {
        let credential = try #require(
            JoinCredential(edgeID: "edge1", secret: FakeOrigin.secret, originURL: "https://o.example")
        )
        let path = directory + "/credential"
        try AtomicFile.write(Array(" \(credential.text)\r\n\n".utf8), to: path)
        #expect(try JoinFile.read(path) == credential)
        for text in ["", "\n", "x \(credential.text)", credential.text + ".x", String(repeating: "a", count: 10_000)] {
            try AtomicFile.write(Array(text.utf8), to: path)
            let error = #expect(throws: EdgeControlError.self) { _ = try JoinFile.read(path) }
            #expect(error?.kind == .credential)
        }
        #expect(throws: EdgeControlError.self) { _ = try JoinFile.read(directory + "/none") }
    }
}
