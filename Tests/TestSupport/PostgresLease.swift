// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
package import OriginMetadata
import OriginPrivatePostgres
import Synchronization
import Telemetry

/// A fresh, empty database for one test, dropped when the test lets go of it. All of them lie in one private cluster,
/// which the first lease of the process starts and the end of the process stops.
package final class PostgresLease: Sendable {
    /// A connection URI of the fresh database.
    package let url: String
    private let name: String
    private let cluster: TestCluster

    /// Whether a PostgreSQL server is installed, for `.enabled(if:)`.
    package static var isAvailable: Bool {
        FileManager.default.fileExists(atPath: "/usr/lib/postgresql")
            || (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
                .contains { FileManager.default.isExecutableFile(atPath: "\($0)/postgres") }
    }

    package init() async throws {
        cluster = try await TestCluster.shared()
        name = "test_" + UUID().uuidString.lowercased().replacing("-", with: "")
        url = try await cluster.createDatabase(name)
    }

    deinit {
        let cluster = cluster
        let name = name
        Task { await cluster.dropDatabase(name) }
    }

    /// A started `Database` over the fresh database. The caller closes it.
    package func database(
        _ configure: (inout Database.Configuration) -> Void = { _ in }
    ) async throws -> Database {
        var configuration = Database.Configuration(url: url)
        configuration.connectionCountMax = 4
        configure(&configuration)
        let database = Database(configuration, logger: Logger(label: "test"), metrics: Metrics())
        try await database.start()
        return database
    }
}

/// The cluster of this test process. Its data lies in a directory named after the process, so that a later run can
/// clear away what a killed one left.
private final class TestCluster: Sendable {
    private static let starting = Mutex<Task<TestCluster, any Error>?>(nil)
    private static let prefix = "depot-test-cluster-"

    private let cluster: PrivateCluster
    private let administration: Database

    private init(_ cluster: PrivateCluster) {
        self.cluster = cluster
        var configuration = Database.Configuration(url: cluster.url)
        configuration.connectionCountMax = 1
        configuration.statementTimeout = .seconds(60)
        configuration.queueTimeout = .seconds(60)
        // Silent: databases are still being dropped when the process ends and the cluster with it.
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        administration = Database(configuration, logger: logger, metrics: Metrics())
    }

    static func shared() async throws -> TestCluster {
        let task = starting.withLock { task in
            let started = task ?? Task { try await start() }
            task = started
            return started
        }
        return try await task.value
    }

    private static func start() async throws -> TestCluster {
        await sweep()
        let directory = FileManager.default.temporaryDirectory.path + "/\(prefix)\(getpid())"
        // Tests may lose their data with the machine, and are faster for it.
        let cluster = try await PrivateCluster.start(
            dataDirectory: directory,
            settings: ["fsync": "off", "synchronous_commit": "on", "max_connections": "400", "shared_buffers": "32MB"],
            logger: Logger(label: "test"))
        clusterToStop.withLock { $0 = (cluster.processID, [cluster.socketDirectory, directory]) }
        atexit {
            guard let (id, directories) = clusterToStop.withLock({ $0 }) else { return }
            kill(id, SIGQUIT)
            while waitpid(id, nil, 0) < 0, errno == EINTR {}
            for directory in directories { try? FileManager.default.removeItem(atPath: directory) }
        }
        return TestCluster(cluster)
    }

    /// Stops and removes the clusters of test processes that were killed.
    private static func sweep() async {
        let parent = FileManager.default.temporaryDirectory.path
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] {
            // A dead process that nobody has waited for keeps its number, but no program.
            guard name.hasPrefix(prefix), let id = pid_t(name.dropFirst(prefix.count)),
                access("/proc/\(id)/exe", F_OK) != 0
            else { continue }
            try? await PrivateCluster.stopAbandoned(dataDirectory: "\(parent)/\(name)", mode: .immediate)
            try? FileManager.default.removeItem(atPath: "\(parent)/\(name)")
        }
    }

    func createDatabase(_ name: String) async throws -> String {
        try await administration.run { session throws(DatabaseError) in
            try session.execute(script: "CREATE DATABASE \(name)")
        }
        return cluster.url.replacing("/depot?", with: "/\(name)?")
    }

    func dropDatabase(_ name: String) async {
        // Nobody waits for it, and the cluster goes with the process.
        try? await administration.run { session throws(DatabaseError) in
            try session.execute(script: "DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        }
    }
}

/// For the process's exit, which knows no objects.
private let clusterToStop = Mutex<(pid_t, [String])?>(nil)
