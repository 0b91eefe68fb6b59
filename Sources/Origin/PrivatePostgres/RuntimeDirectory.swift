// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc

/// The directory of the server's socket. Short, because a socket's path has room for 107 bytes; its owner's alone,
/// because who can enter it can ask the server.
struct RuntimeDirectory {
    let path: String

    private static let namePrefix = "/depot-postgres-"
    private static let socketName = "/.s.PGSQL.5432"
    private static let socketPathBytesMax = 107

    /// Makes the directory, or checks the one that is there.
    /// - Parameters:
    ///   - path: `nil`: a name made of the cluster's identity, so that it is the same after a restart.
    ///   - cluster: The status of the cluster's directory.
    init(path: String?, cluster: FileStatus, account: ServerAccount) throws {
        // Only root can make names in /run; in /tmp others could be first, which the check below finds out.
        let base = geteuid() == 0 && access("/run", W_OK) == 0 ? "/run" : "/tmp"
        let identity = String(cluster.device, radix: 16) + "-" + String(cluster.inode, radix: 16)
        self.path = path ?? base + Self.namePrefix + identity
        guard self.path.hasPrefix("/"), (self.path + Self.socketName).utf8.count <= Self.socketPathBytesMax else {
            throw PrivatePostgresError(
                .startFailed,
                "the runtime directory \(self.path) is not an absolute path of at most "
                    + "\(Self.socketPathBytesMax - Self.socketName.utf8.count) bytes")
        }
        try make(for: account)
    }

    private func make(for account: ServerAccount) throws {
        if mkdir(path, 0o700) == 0 {
            guard account.isCurrent || chown(path, account.userID, account.groupID) == 0 else { throw failed("chown") }
            return
        }
        guard errno == EEXIST else { throw failed("mkdir") }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failed("lstat") }
        guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == account.userID, status.st_mode & 0o077 == 0 else {
            throw PrivatePostgresError(
                .startFailed, "the runtime directory \(path) is not a directory of \(account.name) with mode 0700")
        }
    }

    private func failed(_ call: String) -> DiskError {
        DiskError(call: call, path: path, errno: errno)
    }

    /// Removes what a killed server left. The server itself would not, as long as any process has the number that its
    /// predecessor had.
    func removeStaleSocket() throws {
        let lock = path + Self.socketName + ".lock"
        // Its lines are those of postmaster.pid, as far as they go.
        if let bytes = try AtomicFile.read(lock, bytesMax: 4096),
            let file = PostmasterFile(String(decoding: bytes, as: UTF8.self)),
            ClusterFolder.place(ofServer: file.processID) != .none
        {
            return  // A server of another cluster; the new one will say so.
        }
        try Directory.remove(path + Self.socketName)
        try Directory.remove(lock)
    }

    /// Removes a directory whose name was chosen here, if nothing is left in it.
    static func removeChosen(_ path: String) {
        if path.contains(namePrefix) { rmdir(path) }
    }

    /// Whether a server listens here, as far as the file system tells.
    static func hasSocket(_ directory: String) -> Bool {
        directory.hasPrefix("/") && access(directory + socketName, F_OK) == 0
    }

    /// A connection URI of the database `depot`, as the superuser of the same name.
    static func url(socketDirectory: String) -> String {
        var host = ""
        for byte in socketDirectory.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                host.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                host += byte < 16 ? "%0" : "%"
                host += String(byte, radix: 16, uppercase: true)
            }
        }
        return "postgresql:///depot?host=\(host)&user=depot"
    }
}
