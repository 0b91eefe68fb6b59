// SPDX-License-Identifier: Apache-2.0

/// How fast the scrub may read. A pure value: it says how long to wait, somebody else waits.
package struct ScrubPace: Sendable {
    /// What opening a blob costs the disk, in bytes that could have been read instead: a million small blobs are not
    /// free.
    package static let openingBytes: Int64 = 64 << 10
    /// Time that was not used, because the disk pool was busy, is not made up for beyond this.
    private static let arrearsMax = Duration.seconds(1)

    package let bytesPerSecond: Int64
    private var next: ContinuousClock.Instant?

    /// - Parameter bytesPerSecond: At least 1.
    package init(bytesPerSecond: Int64) {
        self.bytesPerSecond = max(1, bytesPerSecond)
    }

    /// Bytes were read, or cost as much.
    /// - Returns: How long to wait before more is read.
    package mutating func read(_ bytes: Int64, at now: ContinuousClock.Instant) -> Duration {
        let start = max(next ?? now, now - Self.arrearsMax)
        let next = start + .seconds(Double(max(0, bytes)) / Double(bytesPerSecond))
        self.next = next
        return max(.zero, next - now)
    }
}
