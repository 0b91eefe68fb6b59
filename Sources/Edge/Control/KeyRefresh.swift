// SPDX-License-Identifier: Apache-2.0

/// When to ask for the link keys. A pure value.
///
/// Asked for when none are held, when an origin names another version or time to live than the one held, and when a
/// link names a key that is not held. One request at a time; after a failure, with growing pauses.
package struct KeyRefresh {
    package typealias Instant = ContinuousClock.Instant

    private let unknownKeyInterval: Duration
    private var backoff: Backoff
    private var held: (version: String, timeToLiveSeconds: Int64)?
    private var isWanted: Bool
    private var isFetching = false
    private var retryAt: Instant?
    private var unknownKeyAt: Instant?

    /// - Parameter held: What was kept on disk.
    package init(timing: ControlTiming, held: (version: String, timeToLiveSeconds: Int64)?) {
        unknownKeyInterval = timing.unknownKeyInterval
        backoff = Backoff(min: timing.retryMin, max: timing.retryMax)
        self.held = held
        isWanted = held == nil
    }

    /// An origin said what it has. It says so every few seconds, which also bounds the requests that follow from an
    /// origin that is behind the others.
    package mutating func named(version: String, timeToLiveSeconds: Int64? = nil) {
        guard let held, held.version == version, timeToLiveSeconds ?? held.timeToLiveSeconds == held.timeToLiveSeconds
        else {
            isWanted = true
            return
        }
    }

    package mutating func metUnknownKey(at now: Instant) {
        if let unknownKeyAt, now - unknownKeyAt < unknownKeyInterval { return }
        unknownKeyAt = now
        isWanted = true
    }

    /// Whether to fetch now. If so, `fetched` or `failed` must follow.
    package mutating func begin(at now: Instant) -> Bool {
        guard isWanted, !isFetching else { return false }
        if let retryAt, now < retryAt { return false }
        isFetching = true
        isWanted = false
        return true
    }

    package mutating func fetched(version: String, timeToLiveSeconds: Int64) {
        isFetching = false
        retryAt = nil
        backoff.succeeded()
        held = (version, timeToLiveSeconds)
    }

    /// - Parameter chance: In `0..<1`.
    package mutating func failed(at now: Instant, chance: Double) {
        isFetching = false
        isWanted = true
        retryAt = now + backoff.failed(chance: chance)
    }
}
