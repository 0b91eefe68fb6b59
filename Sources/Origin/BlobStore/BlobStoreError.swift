// SPDX-License-Identifier: Apache-2.0

/// Everything the blob store can fail with. Absence is not here: `open` returns `nil` for a blob it lacks.
package struct BlobStoreError: Error, Sendable, CustomStringConvertible {
    package enum Kind: Sendable, Hashable {
        /// The volume is full, or taking more would use up its reserve.
        case outOfSpace
        /// The volume failed: EIO, a read-only remount, a missing directory. Final for the blob being written.
        case io
        /// What is stored is not what was acknowledged: too short, or without its piece list.
        case damaged
    }

    package let kind: Kind
    /// For the operator's log; never sent to a client.
    package let message: String
    package let cause: (any Error)?

    package init(_ kind: Kind, _ message: String, cause: (any Error)? = nil) {
        self.kind = kind
        self.message = message
        self.cause = cause
    }

    package var description: String { message }
}
