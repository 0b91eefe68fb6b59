// SPDX-License-Identifier: Apache-2.0

/// When to open the control connection to one origin, and when to give it up. A pure value.
///
/// States: closed (until a retry time) → opening → open → closed. Opening and open end by silence, too; the end itself
/// is always reported by the transfer, so that there is never a second connection beside a first.
package struct ControlConnection {
    package typealias Instant = ContinuousClock.Instant

    package enum Step: Equatable {
        case open
        /// Nothing was heard for too long. `ended` follows.
        case hangUp
        case wait
    }

    private enum State: Equatable {
        case closed(retryAt: Instant)
        case opening(since: Instant)
        case open(heardAt: Instant)
        case closing
    }

    private let silenceMax: Duration
    private var backoff: Backoff
    private var state: State

    package init(timing: ControlTiming, at now: Instant) {
        silenceMax = timing.silenceMax
        backoff = Backoff(min: timing.retryMin, max: timing.retryMax)
        state = .closed(retryAt: now)
    }

    /// Whether the origin counts this edge as connected, as far as one side can know.
    package var isOpen: Bool { if case .open = state { true } else { false } }

    /// What to do now; changes the state to match.
    package mutating func step(at now: Instant) -> Step {
        switch state {
        case .closed(let retryAt) where now >= retryAt:
            state = .opening(since: now)
            return .open
        case .opening(let since) where now - since > silenceMax, .open(let since) where now - since > silenceMax:
            state = .closing
            return .hangUp
        case .closed, .opening, .open, .closing:
            return .wait
        }
    }

    /// A line came.
    package mutating func heard(at now: Instant) {
        switch state {
        case .opening, .open:
            state = .open(heardAt: now)
            backoff.succeeded()
        case .closed, .closing:
            break
        }
    }

    /// The connection is gone, for whatever reason.
    /// - Parameter chance: In `0..<1`.
    package mutating func ended(at now: Instant, chance: Double) {
        state = .closed(retryAt: now + backoff.failed(chance: chance))
    }
}
