// SPDX-License-Identifier: Apache-2.0

import Disk
import FoundationEssentials
import Glibc

/// Makes a cluster, whole or not at all: under another name, which is changed when everything is in it.
struct ClusterInitialization {
    let folder: ClusterFolder
    let programs: ServerPrograms
    let account: ServerAccount

    /// initdb takes a second or two; a slow disk gets this long.
    private static let timeout: Duration = .seconds(120)

    func run(output: File) throws {
        // What a start that was killed half-way left behind.
        if try Directory.exists(folder.newCluster) { try FileManager.default.removeItem(atPath: folder.newCluster) }
        try Directory.create(folder.newCluster, permissions: 0o700)
        if !account.isCurrent, chown(folder.newCluster, account.userID, account.groupID) != 0 {
            throw DiskError(call: "chown", path: folder.newCluster, errno: errno)
        }
        try execute(
            [
                programs.initdb, "--pgdata=\(ChildProcess.directoryPath)", "--username=depot", "--encoding=UTF8",
                "--locale=C", "--data-checksums", "--auth-local=peer", "--auth-host=reject", "--no-instructions",
            ],
            output: output)
        try configure()
        try execute(
            [programs.postgres, "--single", "-D", ChildProcess.directoryPath, "postgres"],
            input: "CREATE DATABASE depot\n",
            output: output)
        try Directory.rename(folder.newCluster, folder.cluster)
        try Directory.sync(folder.path)
    }

    private func execute(_ command: [String], input: String = "", output: File) throws {
        try AtomicFile.write(Array(input.utf8), to: folder.input, permissions: 0o600)
        let child = try ChildProcess.spawn(
            account.commandPrefix + command,
            directory: try File.open(folder.newCluster, .read),
            input: try File.open(folder.input, .read),
            output: output)
        try Directory.remove(folder.input)
        let status = child.waitForExit(until: .now + Self.timeout)
        guard status == 0 else {
            throw PrivatePostgresError(
                .initializationFailed, "\(command.first ?? "") ended with status \(status): \(folder.logTail())")
        }
    }

    /// Overwrites files that initdb made, so that they stay the server's. Nothing else reads the cluster yet.
    private func configure() throws(DiskError) {
        try overwrite("pg_hba.conf", with: "local all depot peer map=depot\n")
        try overwrite("pg_ident.conf", with: "depot root depot\ndepot \(account.name) depot\n")
        try overwrite("postgresql.conf", with: Self.settings)
    }

    private func overwrite(_ name: String, with text: String) throws(DiskError) {
        let file = try File.open("\(folder.newCluster)/\(name)", .readWrite)
        try file.truncate(to: 0)
        let written: Result<Void, DiskError> = Array(text.utf8).withUnsafeBytes { bytes in
            Result { () throws(DiskError) in try file.write(bytes, at: 0) }
        }
        try written.get()
        try file.syncData()
    }

    /// For one origin on a machine that has other work: little memory, full durability.
    private static let settings = """
        # Made once by depot-origin; changes here are kept.
        max_connections = 100
        shared_buffers = 64MB
        max_wal_size = 512MB
        min_wal_size = 80MB
        fsync = on
        synchronous_commit = on
        full_page_writes = on
        jit = off
        huge_pages = off
        # The origin logs failed statements; here is what it cannot see.
        log_min_messages = log
        log_checkpoints = off

        """
}
