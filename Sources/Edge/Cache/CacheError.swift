// SPDX-License-Identifier: Apache-2.0

import Disk

/// Everything the cache can fail with. Absence and damaged content are not here: they are answers, and both end in a
/// fill.
package struct CacheError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No room: the disk is full, or everything in the cache is in use. The blob passes through instead.
        case outOfSpace
        /// The device or the file system failed. The blob passes through instead.
        case io
        /// The disk pool's queue is full.
        case overloaded
    }

    package let kind: Kind
    /// For the operator's log; never sent to a client.
    package let message: String
    /// Whether the device said so, just now.
    let isDeviceFault: Bool

    package init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
        isDeviceFault = false
    }

    init(_ error: DiskError) {
        kind = error.kind == .outOfSpace ? .outOfSpace : .io
        message = error.description
        isDeviceFault = error.isDeviceFault
    }

    package var description: String { message }
}
