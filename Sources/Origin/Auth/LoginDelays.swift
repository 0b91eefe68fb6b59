// SPDX-License-Identifier: Apache-2.0

package import HTTPServer

/// How long the answer to a credential that does not count is held back. A pure value: no clock, lock or I/O.
///
/// Only failures wait, and only the answer to the failure itself: whoever presents a good token from the same address
/// notices nothing, so nobody can lock out others. Each failure adds one to its address, or IPv6 /64, and five a second
/// drain away; past ten, the answer waits for 50 ms, doubled with every four more, up to 0.9 s.
package struct LoginDelays: Sendable {
    /// Every failure takes at least so long: how it failed does not show in the time.
    package static let shortest = Duration.milliseconds(20)
    package static let longest = Duration.milliseconds(900)
    /// Answers held back at once; more are refused.
    package static let waitingCountMax = 1024
    private static let freeCount = 10.0
    private static let drainedPerSecond = 5.0
    private static let levelMax = 40.0

    private struct Failures: Sendable {
        var level: Double
        var at: ContinuousClock.Instant
    }

    private var failures = BoundedCache<ClientNetwork?, Failures>(generationCountMax: 8192)
    private var waitingCount = 0

    package init() {}

    /// - Returns: How long the answer waits, to be followed by `ended`; `nil` if too many wait already.
    package mutating func failed(from address: ClientNetwork?, at now: ContinuousClock.Instant) -> Duration? {
        let before = failures.value(for: address)
        let drained = before.map { max(0, $0.level - max(0, (now - $0.at) / .seconds(1)) * Self.drainedPerSecond) } ?? 0
        let level = min(drained + 1, Self.levelMax)
        failures.insert(Failures(level: level, at: now), for: address)
        guard waitingCount < Self.waitingCountMax else { return nil }
        waitingCount += 1
        guard level > Self.freeCount else { return Self.shortest }
        var delay = Duration.milliseconds(50)
        for _ in 0..<Int((level - Self.freeCount) / 4) where delay < Self.longest { delay *= 2 }
        return min(delay, Self.longest)
    }

    /// An answer that waited has left.
    package mutating func ended() { waitingCount -= 1 }
}
