// SPDX-License-Identifier: Apache-2.0

/// How often something may happen: `perSecond` on average, `burst` at once. A pure value; the caller has the clock.
package struct TokenBucket: Sendable, Equatable {
    package struct Rate: Sendable, Equatable {
        package let perSecond: Double
        package let burst: Double

        /// - Parameters:
        ///   - perSecond: Positive.
        ///   - burst: At least one.
        package init(perSecond: Double, burst: Double) {
            precondition(perSecond > 0 && burst >= 1, "a rate of nothing lets nothing through")
            self.perSecond = perSecond
            self.burst = burst
        }
    }

    /// What there is at `filledAt`.
    private var level: Double
    private var filledAt: ContinuousClock.Instant

    /// A full one.
    package init(_ rate: Rate, at now: ContinuousClock.Instant) {
        level = rate.burst
        filledAt = now
    }

    /// - Returns: `nil` if it may happen now; otherwise after how long it may. A refusal costs nothing.
    package mutating func take(_ rate: Rate, at now: ContinuousClock.Instant) -> Duration? {
        let (seconds, attoseconds) = (now - filledAt).components
        let elapsed = max(Double(seconds) + Double(attoseconds) * 1e-18, 0)
        level = min(rate.burst, level + elapsed * rate.perSecond)
        filledAt = now
        guard level >= 1 else { return .seconds((1 - level) / rate.perSecond) }
        level -= 1
        return nil
    }
}
