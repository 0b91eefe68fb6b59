// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A system call on the disk that failed. Absence is not here: calls whose target may be missing return an optional.
package struct DiskError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// ENOENT, ENOTDIR.
        case notFound
        /// EEXIST.
        case exists
        /// ENOSPC, EDQUOT: free space and try again.
        case outOfSpace
        /// EIO: the device failed; what was being written must be discarded.
        case io
        /// EACCES, EPERM, EROFS.
        case permission
        case other
    }

    /// The system call, as in its manual page.
    package let call: String
    package let path: String
    package let errno: Int32

    package init(call: String, path: String, errno: Int32) {
        self.call = call
        self.path = path
        self.errno = errno
    }

    package var kind: Kind {
        switch errno {
        case ENOENT, ENOTDIR: .notFound
        case EEXIST: .exists
        case ENOSPC, EDQUOT: .outOfSpace
        case EIO: .io
        case EACCES, EPERM, EROFS: .permission
        default: .other
        }
    }

    /// For the operator's log: call, path, cause, and what to do where that is known.
    package var description: String {
        let cause = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
        let head = "\(call)(\(path)): \(cause)"
        return remedy.map { "\(head); \($0)" } ?? head
    }

    private var remedy: String? {
        switch errno {
        case ENOSPC: "free space on this file system"
        case EDQUOT: "raise the disk quota of this user"
        case EIO: "check the device, the kernel log names it"
        case EMFILE: "raise the limit of open files of this process (ulimit -n, LimitNOFILE=)"
        case ENFILE: "raise the system's limit of open files (fs.file-max)"
        case EACCES, EPERM: "check owner and mode of the file and of its directories"
        case EROFS: "the file system is mounted read-only"
        default: nil
        }
    }
}
