// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc

/// Keeps two processes from starting one cluster at the same time. The kernel gives it back when its holder dies.
struct ClusterLock {
    private let file: File

    private static let timeout: Duration = .seconds(150)

    /// Waits for whoever has it.
    init(_ folder: ClusterFolder) throws(DiskError) {
        file = try File.open(folder.lock, .readWriteCreate, permissions: 0o600)
        let deadline = ContinuousClock.now + Self.timeout
        while flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR, ContinuousClock.now < deadline else {
                throw DiskError(call: "flock", path: folder.lock, errno: errno)
            }
            usleep(50_000)
        }
    }

    func release() { flock(file.descriptor, LOCK_UN) }
}
