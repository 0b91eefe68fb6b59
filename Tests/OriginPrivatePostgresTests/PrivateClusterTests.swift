// SPDX-License-Identifier: Apache-2.0

import Disk
import FoundationEssentials
import Glibc
import Logging
import OriginMetadata
import OriginPrivatePostgres
import Telemetry
import TestSupport
import Testing

@Suite("private cluster", .enabled(if: PostgresLease.isAvailable))
struct PrivateClusterTests {
    private let directory: TemporaryDirectory
    private let logger = Logger(label: "test")
    private var data: String { directory.file("database") }

    init() throws { directory = try TemporaryDirectory() }

    private func start(runtimeDirectory: String? = nil) async throws -> PrivateCluster {
        try await PrivateCluster.start(
            dataDirectory: data, runtimeDirectory: runtimeDirectory, settings: ["fsync": "off"], logger: logger)
    }

    private func query<Value: SQLDecodable & Sendable>(
        _ sql: StaticString,
        of cluster: PrivateCluster
    ) async throws -> Value {
        let database = Database(.init(url: cluster.url), logger: logger, metrics: Metrics())
        let value: Value = try await database.run { session throws(DatabaseError) in
            guard let row = try session.query(sql).first else { throw DatabaseError(.invalidData, message: "no row") }
            return try row[0]
        }
        await database.close()
        return value
    }

    @Test("a cluster below a directory of mode 0700 starts, answers, stops, and keeps its data")
    func lifecycle() async throws {
        let first = try await start()
        let name: String = try await query("SELECT current_database()::text", of: first)
        #expect(name == "depot")
        let encoding: String = try await query("SELECT current_setting('server_encoding')", of: first)
        #expect(encoding == "UTF8")
        let addresses: String = try await query("SELECT current_setting('listen_addresses')", of: first)
        #expect(addresses.isEmpty)
        let isMade: Bool = try await query("SELECT set_config('x.y', '1', false) = '1'", of: first)
        #expect(isMade)
        await first.stop()
        #expect(kill(first.processID, 0) != 0)

        let second = try await start()
        #expect(second.url == first.url)
        await second.stop()
    }

    @Test("the server never runs as root")
    func account() async throws {
        let cluster = try await start()
        let status = try #require(try FileStatus.of("/proc/\(cluster.processID)"))
        #expect(status.ownerID != 0)
        await cluster.stop()
    }

    @Test("a running server is adopted, and stopped by who adopted it")
    func adoption() async throws {
        let first = try await start()
        let second = try await start()
        #expect(second.processID == first.processID)
        #expect(second.url == first.url)
        await second.stop()
        #expect(!ClusterFolder(path: data).isServer(first.processID))
    }

    @Test("starts at the same time end with one server")
    func concurrentStarts() async throws {
        async let first = start()
        async let second = start()
        let clusters = try await [first, second]
        #expect(clusters[0].processID == clusters[1].processID)
        await clusters[0].stop()
    }

    @Test("after kill -9 of the server its stale files are removed and it recovers")
    func killedServer() async throws {
        let first = try await start()
        kill(first.processID, SIGKILL)
        while ClusterFolder(path: data).isServer(first.processID) { await Task.yield() }
        let second = try await start()
        #expect(second.processID != first.processID)
        let answer: Int64 = try await query("SELECT 1::bigint", of: second)
        #expect(answer == 1)
        await second.stop()
    }

    @Test("a postmaster.pid that names a process of somebody else is removed")
    func reusedProcessNumber() async throws {
        let first = try await start()
        await first.stop()
        let folder = ClusterFolder(path: data)
        let text = "\(getpid())\n/proc/self/fd/3\n1700000000\n5432\n/nowhere\n\n  1    1\nready   \n"
        try AtomicFile.write(Array(text.utf8), to: folder.postmasterPath, permissions: 0o600)
        let second = try await start()
        await second.stop()
    }

    @Test("a cluster that was half made is made anew")
    func interruptedInitialization() async throws {
        try Directory.create(ClusterFolder(path: data).newCluster + "/base", permissions: 0o700)
        let cluster = try await start()
        await cluster.stop()
    }

    @Test("a server whose socket was deleted is replaced")
    func lostSocket() async throws {
        let first = try await start()
        let socket = try #require(try ClusterFolder(path: data).postmasterFile()).socketDirectory + "/.s.PGSQL.5432"
        try Directory.remove(socket)
        let second = try await start()
        #expect(second.processID != first.processID)
        await second.stop()
    }

    @Test("what was left running is stopped by its directory")
    func abandoned() async throws {
        let cluster = try await start()
        try await PrivateCluster.stopAbandoned(dataDirectory: data)
        #expect(!ClusterFolder(path: data).isServer(cluster.processID))
        try await PrivateCluster.stopAbandoned(dataDirectory: data)
    }

    @Test("a runtime directory whose socket path would not fit is refused")
    func longRuntimeDirectory() async throws {
        await #expect(throws: PrivatePostgresError.self) {
            _ = try await start(runtimeDirectory: "/tmp/" + String(repeating: "x", count: 100))
        }
    }
}
