// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc

/// One process per data directory, and so per name of an origin: a second one would take the first one's upload leases
/// for those of an earlier process, and write to the same files. The kernel gives the lock back when its holder dies.
struct DataDirectoryLock {
    private let file: File

    struct Taken: Error, CustomStringConvertible {
        let description = "another depot-origin works in this directory"
    }

    init(_ directory: String) throws {
        file = try File.open(directory + "/origin.lock", .readWriteCreate, permissions: 0o600)
        while flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EINTR else { throw errno == EWOULDBLOCK ? Taken() : lockFailure(errno) }
        }
    }

    private func lockFailure(_ code: Int32) -> any Error {
        DiskError(call: "flock", path: file.path, errno: code)
    }
}
