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
            if let id = pid_t(name), case .in(status.inode, status.device) = Self.place(ofServer: id) {
                found.insert(id)
            }
        }
        return found
    }

    /// Whether the process that `postmaster.pid` names is alive and a server of this cluster. One that this process may
    /// not look at counts as that: taken for dead, it would lose its files to a second server.
    package func isServer(_ id: Int32) -> Bool {
        switch Self.place(ofServer: id) {
        case .none: false
        case .hidden: true
        case .in(let inode, let device):
            (try? FileStatus.of(cluster)).map { $0.inode == inode && $0.device == device } ?? true
        }
    }

    enum Place: Equatable {
        /// The process is no server, or is dead and only waits for its parent to notice.
        case none
        /// Root in a container may not look at processes of other users (CAP_SYS_PTRACE); nor may anybody without a
        /// free descriptor.
        case hidden
        case `in`(_ inode: UInt64, _ device: UInt64)
    }

    /// Where a server process works.
    static func place(ofServer id: pid_t) -> Place {
        do throws(DiskError) {
            guard try AtomicFile.read("/proc/\(id)/comm", bytesMax: 64) == Array("postgres\n".utf8) else {
                return .none
            }
            return try FileStatus.of("/proc/\(id)/cwd").map { .in($0.inode, $0.device) } ?? .none
        } catch {
            return error.errno == ESRCH || isZombie(id) ? .none : .hidden
        }
    }

    /// Whether the process has ended, and its parent has not asked how. Everybody may know.
    private static func isZombie(_ id: pid_t) -> Bool {
        guard let stat = try? AtomicFile.read("/proc/\(id)/stat", bytesMax: 4096) else { return false }
        // The name, in parentheses, may hold anything.
        return stat.lastIndex(of: UInt8(ascii: ")")).map { stat[$0...].dropFirst(2).first == UInt8(ascii: "Z") }
            ?? false
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
