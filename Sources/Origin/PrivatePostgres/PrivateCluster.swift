// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Glibc
package import Logging
import Synchronization

/// A PostgreSQL server of the origin's own, so that a first run needs no set-up.
///
/// The cluster lies in the directory given, which may be below directories that are root's alone; the socket lies in a
/// short runtime directory; there is no TCP. Its user is the one who starts it, or, for root, `postgres`.
///
/// States: none → whole cluster → running → stopped. A server that outlived its origin (a crash, `kill -9`) is adopted
/// by the next start; one that ends by itself is started again by `keepRunning`. Durability is PostgreSQL's default:
/// fsync on.
package final class PrivateCluster: Sendable {
    package enum StopMode: Sendable {
        /// Ends connections, writes a checkpoint.
        case fast
        /// Ends at once; the next start recovers.
        case immediate

        fileprivate var signal: Int32 { self == .fast ? SIGINT : SIGQUIT }
    }

    /// A connection URI for libpq. It stays the same when the server is started again.
    package let url: String
    private let server: Mutex<PostmasterFile>
    private let folder: ClusterFolder
    private let options: Options
    private let pool: BlockingPool
    private let logger: Logger

    /// How long a server may take to recover and to stop before that counts as failed.
    private static let startTimeout: Duration = .seconds(120)
    private static let fastStopTimeout: Duration = .seconds(60)
    private static let immediateStopTimeout: Duration = .seconds(10)
    private static let pollMicroseconds: UInt32 = 10_000
    private static let watchInterval: Duration = .seconds(1)
    /// A log that is larger at a start is put aside.
    private static let logBytesMax: Int64 = 1 << 20

    /// How the server is started.
    private struct Options: Sendable {
        let runtimeDirectory: String?
        let userName: String
        let settings: [String: String]
    }

    private init(
        _ server: PostmasterFile, folder: ClusterFolder, options: Options, pool: BlockingPool, logger: Logger
    ) {
        url = RuntimeDirectory.url(socketDirectory: server.socketDirectory)
        self.server = Mutex(server)
        self.folder = folder
        self.options = options
        self.pool = pool
        self.logger = logger
    }

    /// Makes the cluster if there is none, adopts its server if one runs, else starts it. Returns once it takes
    /// connections.
    ///
    /// - Parameters:
    ///   - dataDirectory: Made if missing. Holds `cluster`, `cluster.log`, and `cluster.lock`.
    ///   - runtimeDirectory: For the socket, at most 93 bytes long; `nil` chooses one in `/run` or `/tmp`.
    ///   - userName: Who the server runs as if this process is root's and the cluster is new.
    ///   - settings: Server settings that overrule those of the cluster while this server runs.
    /// - Throws: Every kind of `PrivatePostgresError`.
    package static func start(
        dataDirectory: String,
        runtimeDirectory: String? = nil,
        userName: String = "postgres",
        settings: [String: String] = [:],
        logger: Logger
    ) async throws(PrivatePostgresError) -> PrivateCluster {
        let pool = BlockingPool(name: "postgres-start", threadCount: 1, queueCountMax: 4)
        do {
            return try await pool.run {
                let folder = ClusterFolder(path: dataDirectory)
                let options = Options(runtimeDirectory: runtimeDirectory, userName: userName, settings: settings)
                let server = try startBlocking(folder, options, logger: logger)
                return PrivateCluster(server, folder: folder, options: options, pool: pool, logger: logger)
            }
        } catch {
            throw PrivatePostgresError(error)
        }
    }

    package var processID: Int32 { server.withLock { $0.processID } }
    package var socketDirectory: String { server.withLock { $0.socketDirectory } }

    /// Starts the server again when it has ended, whatever ended it, until cancelled: an origin whose database was taken
    /// by the kernel for its memory is to heal by itself.
    package func keepRunning() async {
        while (try? await Task.sleep(for: Self.watchInterval)) != nil {
            do {
                try await pool.run { [self] in
                    guard !folder.isServer(processID) else { return }
                    logger.error("private database has ended", metadata: ["database.pid": "\(processID)"])
                    let again = try Self.startBlocking(folder, options, logger: logger)
                    server.withLock { $0 = again }
                }
            } catch {
                logger.error("private database not started", metadata: ["error": "\(PrivatePostgresError(error))"])
            }
        }
    }

    /// Stops the server, whoever started it, and waits for its end. A fast stop that takes too long becomes an
    /// immediate one. No `keepRunning` may run any more.
    package func stop(_ mode: StopMode = .fast) async {
        do {
            try await pool.run { [folder, processID] in try Self.stopBlocking(folder, processID, mode) }
        } catch {
            logger.error("private database not stopped", metadata: ["error": "\(PrivatePostgresError(error))"])
        }
    }

    /// Stops the server of a directory, if one runs, whoever started it.
    package static func stopAbandoned(
        dataDirectory: String,
        mode: StopMode = .fast
    ) async throws(PrivatePostgresError) {
        let pool = BlockingPool(name: "postgres-stop", threadCount: 1, queueCountMax: 1)
        do {
            try await pool.run {
                let folder = ClusterFolder(path: dataDirectory)
                guard let server = try folder.postmasterFile() else { return }
                try stopBlocking(folder, server.processID, mode)
            }
        } catch {
            throw PrivatePostgresError(error)
        }
    }

    // MARK: Starting, on a thread that may block

    private static func startBlocking(
        _ folder: ClusterFolder,
        _ options: Options,
        logger: Logger
    ) throws -> PostmasterFile {
        try Directory.create(folder.path, permissions: 0o700)
        let lock = try ClusterLock(folder)
        defer { lock.release() }
        let version = try folder.majorVersion()
        if version != nil, let server = try adopt(folder) {
            logger.notice("running private database adopted", metadata: ["database.pid": "\(server.processID)"])
            return server
        }
        let programs = try ServerPrograms.find(majorVersion: version)
        let log = try openLog(folder)
        let ownerID = version == nil ? nil : try FileStatus.of(folder.cluster)?.ownerID
        let account = try ServerAccount.choose(ownerID: ownerID, name: options.userName)
        if version == nil {
            try ClusterInitialization(folder: folder, programs: programs, account: account).run(output: log)
            logger.info("private database made", metadata: ["database.user": "\(account.name)"])
        }
        guard let status = try FileStatus.of(folder.cluster) else {
            throw DiskError(call: "stat", path: folder.cluster, errno: ENOENT)
        }
        let runtime = try RuntimeDirectory(path: options.runtimeDirectory, cluster: status, account: account)
        try runtime.removeStaleSocket()
        let child = try ChildProcess.spawn(
            account.commandPrefix + command(programs, runtime: runtime, settings: options.settings),
            directory: try File.open(folder.cluster, .read),
            input: try File.open("/dev/null", .read),
            output: log)
        let server = try waitUntilReady(folder, child)
        logger.info("private database started", metadata: ["database.pid": "\(server.processID)"])
        return server
    }

    private static func command(
        _ programs: ServerPrograms,
        runtime: RuntimeDirectory,
        settings: [String: String]
    ) -> [String] {
        var values = settings
        // Transactions here take milliseconds: who waits for a second waits in a circle, and should not for as long.
        values["deadlock_timeout"] = settings["deadlock_timeout"] ?? "200ms"
        values["listen_addresses"] = ""
        values["unix_socket_directories"] = runtime.path
        values["unix_socket_permissions"] = "0700"
        values["port"] = "5432"
        values["logging_collector"] = "off"
        values["cluster_name"] = "depot"
        return [programs.postgres, "-D", ChildProcess.directoryPath]
            + values.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
    }

    private static func waitUntilReady(
        _ folder: ClusterFolder,
        _ child: ChildProcess
    ) throws -> PostmasterFile {
        let deadline = ContinuousClock.now + startTimeout
        while true {
            if let server = try folder.postmasterFile(), server.processID == child.id, server.status == .ready {
                return server
            }
            if let status = child.exitStatus() {
                throw PrivatePostgresError(.startFailed, "the server ended with status \(status): \(folder.logTail())")
            }
            guard ContinuousClock.now < deadline else {
                throw PrivatePostgresError(
                    .startFailed, "the server was not ready within \(startTimeout): \(folder.logTail())")
            }
            usleep(pollMicroseconds)
        }
    }

    // MARK: Adopting

    /// The running server of the cluster, once it takes connections; `nil` when none is left, and nothing of one.
    private static func adopt(_ folder: ClusterFolder) throws -> PostmasterFile? {
        let deadline = ContinuousClock.now + startTimeout
        while let server = try folder.postmasterFile(), folder.isServer(server.processID) {
            if server.status == .ready {
                if RuntimeDirectory.hasSocket(server.socketDirectory) { return server }
                // Its socket was deleted under it (a cleaner of /tmp); nobody can reach it any more.
                try stopBlocking(folder, server.processID, .fast)
            }
            guard ContinuousClock.now < deadline else {
                throw PrivatePostgresError(
                    .startFailed, "the running server \(server.processID) was not ready within \(startTimeout)")
            }
            usleep(pollMicroseconds)
        }
        try waitForOrphans(folder)
        if let dead = try folder.postmasterFile() { _ = ChildProcess(id: dead.processID).exitStatus() }
        // A number that another process has by now would keep the server from starting.
        try Directory.remove(folder.postmasterPath)
        return nil
    }

    /// Waits for the processes of a server that was killed. While one of them lives, a second server would ruin the
    /// cluster; `postmaster.pid`, which guards against that, may be removed only when none does.
    private static func waitForOrphans(_ folder: ClusterFolder) throws {
        let deadline = ContinuousClock.now + immediateStopTimeout * 2
        let patience = ContinuousClock.now + immediateStopTimeout
        while true {
            let orphans = try folder.serverProcesses()
            if orphans.isEmpty { return }
            guard ContinuousClock.now < deadline else {
                throw PrivatePostgresError(
                    .startFailed, "processes of an earlier server do not end: \(orphans.sorted())")
            }
            if ContinuousClock.now >= patience { for id in orphans { kill(id, SIGQUIT) } }
            usleep(pollMicroseconds)
        }
    }

    // MARK: Stopping

    private static func stopBlocking(
        _ folder: ClusterFolder,
        _ processID: Int32,
        _ mode: StopMode
    ) throws {
        let socketDirectory = try folder.postmasterFile()?.socketDirectory
        guard try signal(folder, processID, mode) || (mode == .fast && signal(folder, processID, .immediate)) else {
            throw PrivatePostgresError(.stopFailed, "the server \(processID) does not stop")
        }
        if let socketDirectory { RuntimeDirectory.removeChosen(socketDirectory) }
    }

    /// - Returns: Whether the server has ended.
    private static func signal(
        _ folder: ClusterFolder,
        _ processID: Int32,
        _ mode: StopMode
    ) throws -> Bool {
        let deadline = ContinuousClock.now + (mode == .fast ? fastStopTimeout : immediateStopTimeout)
        if folder.isServer(processID) { kill(processID, mode.signal) }
        while folder.isServer(processID) {
            if ContinuousClock.now >= deadline { return false }
            usleep(pollMicroseconds)
        }
        _ = ChildProcess(id: processID).exitStatus()  // Takes the zombie away if it was a child of this process.
        return true
    }

    // MARK: Log

    private static func openLog(_ folder: ClusterFolder) throws -> File {
        if let status = try FileStatus.of(folder.log), status.sizeBytes > logBytesMax {
            try Directory.rename(folder.log, folder.log + ".old")
        }
        let log = try File.open(folder.log, .readWriteCreate, permissions: 0o600)
        lseek(log.descriptor, 0, SEEK_END)
        return log
    }
}
