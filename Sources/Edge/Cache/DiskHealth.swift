// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc

/// Whether the cache's disk takes writes. A pure value.
///
/// States: on → off after `failureCountMax` writes in a row failed → on after a probe succeeded. While it is off, stores
/// and creations are refused at once, so that blobs pass through without a system call that fails or hangs for each
/// piece; what is on disk is read and served as before. A full disk is not a sick one: `ENOSPC` changes nothing.
package struct DiskHealth: Sendable, Equatable {
    package enum Change: Sendable, Equatable { case none, turnedOff, turnedOn }

    package static let failureCountMax = 10
    /// Between two probes of a disk that is off.
    package static let probePause = Duration.seconds(30)

    package private(set) var isOff = false
    private var failureCount = 0

    package init() {}

    /// A write that was begun while the disk was on may end after it was turned off: only a probe turns it on.
    package mutating func wrote() { failureCount = 0 }

    package mutating func failedToWrite() -> Change {
        guard !isOff else { return .none }
        failureCount += 1
        isOff = failureCount >= Self.failureCountMax
        return isOff ? .turnedOff : .none
    }

    /// A small file was written, synced and removed, or one of these failed.
    package mutating func probed(isGood: Bool) -> Change {
        guard isOff, isGood else { return .none }
        self = DiskHealth()
        return .turnedOn
    }
}

extension DiskError {
    /// Whether the error speaks of the device or its file system, not of room, of limits of this process, or of a name.
    var isDeviceFault: Bool {
        switch kind {
        case .io, .permission: true
        case .notFound, .exists, .outOfSpace: false
        case .other: [ENODEV, ENXIO, ESTALE, EUCLEAN, EBADMSG, ETIMEDOUT].contains(errno)
        }
    }
}
