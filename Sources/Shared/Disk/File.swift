// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// An open file, closed when the last reference goes.
///
/// All transfers are positional, so one `File` may be used by many threads at once. Every method may block on the disk
/// unless it says otherwise: call them on a pool of `Blocking`, never on an event loop.
package final class File: Sendable {
    package enum Mode: Sendable {
        case read
        /// Read and write; the file must not exist (EEXIST).
        case createExclusive
        /// Read and write; the file must exist.
        case readWrite
        /// Read and write; created empty if missing, kept as it is if present.
        case readWriteCreate

        fileprivate var flags: Int32 {
            switch self {
            case .read: O_RDONLY
            case .createExclusive: O_RDWR | O_CREAT | O_EXCL
            case .readWrite: O_RDWR
            case .readWriteCreate: O_RDWR | O_CREAT
            }
        }
    }

    /// The path it was opened by; the file may have been renamed since.
    package let path: String
    /// Valid while this object lives; not to be closed.
    package let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    // Nothing is lost if close(2) fails: whoever needs durability has synced and seen that answer.
    deinit { close(descriptor) }

    /// - Parameter permissions: Of a file that is created; the umask is taken away from them.
    package static func open(
        _ path: String,
        _ mode: Mode,
        permissions: UInt16 = 0o640
    ) throws(DiskError) -> File {
        let descriptor = try system(.open, path) { clinux_open(path, mode.flags, mode_t(permissions)) }
        return File(path: path, descriptor: descriptor)
    }

    /// As `open`; `nil` if there is no such file.
    package static func openIfExists(_ path: String, _ mode: Mode) throws(DiskError) -> File? {
        do throws(DiskError) {
            return try open(path, mode)
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
    }

    /// Fills the buffer from `offset` (bytes).
    /// - Returns: Bytes read; fewer than the buffer holds only at the end of the file.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
        var doneCount = 0
        while doneCount < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[doneCount...])
            let count = try system(.pread, path) {
                pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(doneCount))
            }
            if count == 0 { break }
            doneCount += count
        }
        return doneCount
    }

    /// Writes all bytes at `offset` (bytes). They are not durable before `syncData`; after an error any prefix may be
    /// in the file.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        var doneCount = 0
        while doneCount < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[doneCount...])
            let count = try system(.pwrite, path) {
                pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(doneCount))
            }
            // POSIX allows no 0 here; a file system that returns it would make this loop endless.
            guard count > 0 else { throw DiskError(call: "pwrite", path: path, errno: EIO) }
            doneCount += count
        }
    }

    /// fdatasync(2): the bytes, and the size if it grew, survive a power cut. The name in the directory needs
    /// `Directory.sync`.
    ///
    /// A failure is final: the kernel has dropped the dirty pages and a second call would report success. Discard what
    /// was written.
    package func syncData() throws(DiskError) {
        try system(.fdatasync, path) { fdatasync(descriptor) }
    }

    package func truncate(to sizeBytes: Int64) throws(DiskError) {
        try system(.ftruncate, path) { ftruncate(descriptor, off_t(sizeBytes)) }
    }

    /// Permission bits of the file, regardless of the umask.
    package func setPermissions(_ permissions: UInt16) throws(DiskError) {
        try system(.fchmod, path) { fchmod(descriptor, mode_t(permissions)) }
    }

    /// Does not block: the inode of an open file is in memory.
    package func status() throws(DiskError) -> FileStatus {
        var raw = Glibc.stat()
        try system(.fstat, path) { fstat(descriptor, &raw) }
        return FileStatus(raw)
    }
}
