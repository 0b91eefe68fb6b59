// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Performs one system call the way all of this target does: failpoint first, EINTR retried, -1 turned into an error.
@inline(__always)
@discardableResult
func system<Result: FixedWidthInteger & SignedInteger>(
    _ call: SystemCall,
    _ path: @autoclosure () -> String,
    _ body: () -> Result
) throws(DiskError) -> Result {
    try Failpoints.shared.check(call, path())
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code != EINTR { throw DiskError(call: call.rawValue, path: path(), errno: code) }
    }
}

/// The system calls that this target makes. The raw value is the call's name in its manual page, in errors, and in
/// `DEPOT_FAILPOINT`.
package enum SystemCall: String, CaseIterable, Sendable {
    case cachestat, fadvise, fallocate, fchmod, fdatasync, fstat, fsync, ftruncate, link, mincore, mkdir, open, opendir
    case pread, pwrite, readdir, rename, stat, statvfs, unlink
    case syncFileRange = "sync_file_range"
}
