// SPDX-License-Identifier: Apache-2.0

package import Disk
import Glibc

/// The names in the directory that a private cluster is given, and what the processes of the system say about it.
package struct ClusterFolder {
    /// The directory given: any owner and mode; nothing else in it is touched.
    package let path: String

    package init(path: String) { self.path = path }

    /// The cluster; there once it is whole.
    var cluster: String { path + "/cluster" }
    /// The cluster while it is made.
    package var newCluster: String { path + "/cluster.new" }
    /// Output of the server and of `initdb`.
    var log: String { path + "/cluster.log" }
    /// What a program reads while the cluster is made.
    var input: String { path + "/cluster.input" }
    /// Locked while the server is started or stopped.
    var lock: String { path + "/cluster.lock" }
    package var postmasterPath: String { cluster + "/postmaster.pid" }

    private static let postmasterBytesMax = 4096

    package func postmasterFile() throws(DiskError) -> PostmasterFile? {
        guard let bytes = try AtomicFile.read(postmasterPath, bytesMax: Self.postmasterBytesMax) else { return nil }
        return PostmasterFile(String(decoding: bytes, as: UTF8.self))
    }

    /// The major version that made the cluster; `nil` if there is none.
    func majorVersion() throws(DiskError) -> Int? {
        guard let bytes = try AtomicFile.read(cluster + "/PG_VERSION", bytesMax: 64) else { return nil }
        return Int(String(decoding: bytes, as: UTF8.self).prefix { $0.isNumber })
    }

    /// All server processes that work in this cluster. The working directory is what tells them: process numbers are
    /// used again, directories in use are not.
    func serverProcesses() throws(DiskError) -> Set<pid_t> {
        guard let status = try FileStatus.of(cluster) else { return [] }
        var found: Set<pid_t> = []
        try Directory.entries("/proc") { name in
            if let id = pid_t(name), Self.isServer(id, workingIn: status) { found.insert(id) }
        }
        return found
    }

    /// Whether the process is alive and a server of this cluster.
    package func isServer(_ id: Int32) -> Bool {
        guard let status = try? FileStatus.of(cluster) else { return false }
        return Self.isServer(id, workingIn: status)
    }

    private static func isServer(_ id: pid_t, workingIn directory: FileStatus) -> Bool {
        guard let status = workingDirectory(ofServer: id) else { return false }
        return status.inode == directory.inode && status.device == directory.device
    }

    /// Where a server process works; `nil` if the process is none, or is dead and only waits for its parent to notice.
    static func workingDirectory(ofServer id: pid_t) -> FileStatus? {
        guard let name = try? AtomicFile.read("/proc/\(id)/comm", bytesMax: 64), name == Array("postgres\n".utf8) else {
            return nil
        }
        return try? FileStatus.of("/proc/\(id)/cwd")
    }

    /// The end of the log on one line, for an error message.
    func logTail() -> String {
        guard let file = try? File.open(log, .read), let size = try? file.status().sizeBytes else { return "no log" }
        var bytes = [UInt8](repeating: 0, count: Int(min(size, 1000)))
        let count = bytes.withUnsafeMutableBytes { buffer in
            (try? file.read(into: buffer, at: size - Int64(buffer.count))) ?? 0
        }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
            .split(separator: "\n").suffix(4).joined(separator: "; ")
    }
}
