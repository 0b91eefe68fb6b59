// SPDX-License-Identifier: Apache-2.0

import Hashing

/// When a running body makes what it sent durable. A pure value.
///
/// Both bounds serve the end of the upload too: the last sync before the answer finds at most one step of dirty pages.
package struct DurableSchedule {
    package static let stepBytes: Int64 = 32 << 20
    package static let interval: Duration = .seconds(10)

    private var lastBytes: Int64
    private var lastInstant: ContinuousClock.Instant

    package init(startBytes: Int64, now: ContinuousClock.Instant) {
        lastBytes = startBytes
        lastInstant = now
    }

    /// Asked whenever the body reaches `bytes`; says yes only at a whole piece, where no piece hash is running.
    package mutating func isDue(at bytes: Int64, now: ContinuousClock.Instant) -> Bool {
        guard bytes % PieceList.pieceBytes == 0, bytes > lastBytes else { return false }
        guard bytes - lastBytes >= Self.stepBytes || now - lastInstant >= Self.interval else { return false }
        lastBytes = bytes
        lastInstant = now
        return true
    }
}
