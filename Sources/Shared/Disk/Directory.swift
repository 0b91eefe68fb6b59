// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Directories and names. Every function may block on the disk: call them on a pool of `Blocking`.
package enum Directory {
    /// Makes the directory and its missing parents, and syncs the parent of each one made, so that the names survive a
    /// power cut. A directory that is there already is left as it is.
    ///
    /// - Parameters:
    ///   - permissions: Of the directories made; the umask is taken away from them.
    ///   - isDurable: `false` for what may be gone after a power cut: nothing is synced.
    /// - Returns: Whether the directory was made by this call.
    @discardableResult
    package static func create(
        _ path: String, permissions: UInt16 = 0o750, isDurable: Bool = true
    ) throws(DiskError) -> Bool {
        do throws(DiskError) {
            try system(.mkdir, path) { mkdir(path, mode_t(permissions)) }
        } catch {
            switch error.errno {
            case EEXIST:
                guard try FileStatus.of(path)?.isDirectory == true else { throw error }
                return false
            case ENOENT where parent(of: path) != path:
                try create(parent(of: path), permissions: permissions, isDurable: isDurable)
                return try create(path, permissions: permissions, isDurable: isDurable)
            default: throw error
            }
        }
        if isDurable { try sync(parent(of: path)) }
        return true
    }

    /// Makes the names in the directory durable: files created, renamed, and removed in it.
    /// A failure is final, as with `File.syncData`.
    package static func sync(_ path: String) throws(DiskError) {
        let descriptor = try system(.open, path) { clinux_open(path, O_RDONLY | O_DIRECTORY, 0) }
        defer { close(descriptor) }
        try system(.fsync, path) { fsync(descriptor) }
    }

    /// Calls `body` with each name in the directory except `.` and `..`, in no order. Names made or removed meanwhile
    /// may or may not be seen; bytes that are not UTF-8 are repaired, so such a name cannot be opened.
    package static func entries(_ path: String, _ body: (String) -> Void) throws(DiskError) {
        try entryBytes(path) { body(String(decoding: $0, as: UTF8.self)) }
    }

    /// As `entries`, without a string for each name; the bytes are valid during the call only.
    package static func entryBytes(
        _ path: String, _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) throws(DiskError) {
        try Failpoints.shared.check(.opendir, path)
        guard let stream = opendir(path) else { throw DiskError(call: "opendir", path: path, errno: errno) }
        defer { closedir(stream) }
        while true {
            try Failpoints.shared.check(.readdir, path)
            // readdir tells the end from a failure by errno only.
            errno = 0
            guard let entry = readdir(stream), let name = clinux_entry_name(entry) else { break }
            let count = strlen(name)
            let isDots = name[0] == 46 && (count == 1 || (count == 2 && name[1] == 46))
            if isDots { continue }
            name.withMemoryRebound(to: UInt8.self, capacity: count) {
                body(UnsafeBufferPointer(start: $0, count: count))
            }
        }
        if errno != 0 { throw DiskError(call: "readdir", path: path, errno: errno) }
    }

    /// Removes a file. The space comes back when the last descriptor is closed.
    /// - Returns: Whether it was there.
    @discardableResult
    package static func remove(_ path: String) throws(DiskError) -> Bool {
        do throws(DiskError) {
            try system(.unlink, path) { unlink(path) }
            return true
        } catch {
            if error.errno == ENOENT { return false }
            throw error
        }
    }

    /// Gives the file another name on the same file system, replacing a file that has it, in one step. Durable after
    /// `sync` of the directory (of both, if they differ).
    package static func rename(_ source: String, _ target: String) throws(DiskError) {
        try system(.rename, "\(source) -> \(target)") { Glibc.rename(source, target) }
    }

    package static func exists(_ path: String) throws(DiskError) -> Bool {
        try FileStatus.of(path) != nil
    }

    /// Space of the file system that holds `path`, in bytes; `available` to this user, without root's reserve.
    package static func freeBytes(_ path: String) throws(DiskError) -> (available: Int64, total: Int64) {
        var raw = Glibc.statvfs()
        try system(.statvfs, path) { statvfs(path, &raw) }
        let (available, isAvailableHuge) = UInt64(raw.f_bavail).multipliedReportingOverflow(by: UInt64(raw.f_frsize))
        let (total, isTotalHuge) = UInt64(raw.f_blocks).multipliedReportingOverflow(by: UInt64(raw.f_frsize))
        return (
            available: isAvailableHuge ? .max : Int64(clamping: available),
            total: isTotalHuge ? .max : Int64(clamping: total)
        )
    }

    /// The path of the directory that holds `path`.
    package static func parent(of path: String) -> String {
        let trimmed = path.utf8.reversed().drop { $0 == UInt8(ascii: "/") }
        let head = trimmed.drop { $0 != UInt8(ascii: "/") }.drop { $0 == UInt8(ascii: "/") }
        if head.isEmpty { return path.utf8.first == UInt8(ascii: "/") ? "/" : "." }
        return String(decoding: head.reversed(), as: UTF8.self)
    }
}
