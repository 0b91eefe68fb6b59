// SPDX-License-Identifier: Apache-2.0

/// Decides when a connection may be tried. A pure value: no clock inside.
///
/// While PostgreSQL is away, one attempt at a time is made, further and further apart; everybody else fails at once
/// with the last attempt's error instead of queueing up behind connect timeouts.
package struct Availability {
    private static let delayMin: Duration = .milliseconds(50)
    private static let delayMax: Duration = .seconds(2)

    /// How long an attempt may take; another one is allowed after that even if no word came of the first.
    let attemptTimeout: Duration
    private var failureCount = 0
    private var notBefore: ContinuousClock.Instant?
    private var lastError: DatabaseError?

    package init(attemptTimeout: Duration) { self.attemptTimeout = attemptTimeout }

    /// Asks to connect.
    /// - Returns: `nil` for "go on", and `succeeded` or `failed` must follow; else the error to fail with.
    package mutating func mayConnect(now: ContinuousClock.Instant) -> DatabaseError? {
        guard let notBefore, let lastError else { return nil }
        if now < notBefore { return lastError }
        self.notBefore = now + attemptTimeout
        return nil
    }

    package mutating func succeeded() {
        failureCount = 0
        notBefore = nil
        lastError = nil
    }

    /// - Parameter jitter: 0..<1. Origins that lost the same server do not return in step.
    package mutating func failed(_ error: DatabaseError, now: ContinuousClock.Instant, jitter: Double) {
        let delay = min(Self.delayMin * (1 << min(failureCount, 10)), Self.delayMax)
        failureCount += 1
        notBefore = now + delay * (0.5 + jitter / 2)
        lastError = error
    }
}
