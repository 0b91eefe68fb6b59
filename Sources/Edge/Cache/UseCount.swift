// SPDX-License-Identifier: Apache-2.0

/// How often an open blob was used, as eviction understands it. A pure value.
///
/// Clients read one blob by dozens of range requests, so requests say nothing about how many want it. One use is the
/// handing out of the blob's first byte, which each pull needs once, however it is cut up; a client that asks for the
/// same start again at once (to learn the size, or after a broken stream) is within `gap` of itself. A reader for whom
/// the blob was fetched is the reason that it is here at all, and is not counted.
package struct UseCount: Sendable, Equatable {
    /// Uses nearer than this to the one before are the same use.
    package static let gap = Duration.seconds(2)

    private var last: ContinuousClock.Instant?
    private var isExpected: Bool
    private var count = 0

    /// - Parameter isFetched: Whether the blob was made for a reader who is still to come.
    package init(isFetched: Bool) { isExpected = isFetched }

    /// The first byte is handed out.
    package mutating func read(at now: ContinuousClock.Instant) {
        if let last, now - last < Self.gap { return }
        last = now
        if isExpected { isExpected = false } else { count += 1 }
    }

    /// Uses since the last call.
    package mutating func take() -> Int {
        defer { count = 0 }
        return count
    }
}
