// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What stat(2) tells about a file.
package struct FileStatus: Sendable, Equatable {
    package let sizeBytes: Int64
    /// Bytes that the file takes on the device; less than its size if it is sparse.
    package let allocatedBytes: Int64
    /// ctime: moves with every change of bytes, size, name count, owner, or mode, and cannot be set by a program.
    /// Nanoseconds since 1970; at most as fine as the kernel's tick.
    package let changeTime: Int64
    /// mtime, nanoseconds since 1970.
    package let modificationTime: Int64
    package let device: UInt64
    package let inode: UInt64
    package let linkCount: Int
    package let ownerID: UInt32
    /// The lower twelve bits of the mode.
    package let permissions: UInt16
    package let isDirectory: Bool
    package let isRegularFile: Bool

    init(_ raw: stat) {
        sizeBytes = Int64(raw.st_size)
        allocatedBytes = Int64(raw.st_blocks) * 512
        changeTime = Int64(raw.st_ctim.tv_sec) * 1_000_000_000 + Int64(raw.st_ctim.tv_nsec)
        modificationTime = Int64(raw.st_mtim.tv_sec) * 1_000_000_000 + Int64(raw.st_mtim.tv_nsec)
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        linkCount = Int(raw.st_nlink)
        ownerID = raw.st_uid
        permissions = UInt16(raw.st_mode & 0o7777)
        isDirectory = raw.st_mode & S_IFMT == S_IFDIR
        isRegularFile = raw.st_mode & S_IFMT == S_IFREG
    }

    /// By path, following symbolic links; `nil` if there is nothing there.
    package static func of(_ path: String) throws(DiskError) -> FileStatus? {
        var raw = stat()
        do throws(DiskError) {
            try system(.stat, path) { stat(path, &raw) }
        } catch {
            if error.errno == ENOENT { return nil }
            throw error
        }
        return FileStatus(raw)
    }
}
