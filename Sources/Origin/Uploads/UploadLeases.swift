// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
import Synchronization

/// The right of one request to write to a session, as far as this process can know without asking.
///
/// Another origin takes a session over once its lease has expired. So a process that was stopped for a while, or that
/// could not renew, must not write another byte: the file may be a committed blob by now. The right therefore ends
/// here `margin` before it ends in the database, by a clock that goes on while the machine sleeps.
package final class UploadLease: Sendable {
    package static let duration: Duration = .seconds(30)
    /// A write that was begun is over in less.
    package static let margin: Duration = .seconds(5)

    private enum State {
        /// The database was not asked yet, or has not answered. Nothing is to be renewed, and nothing may be written.
        case wanted
        case held(until: ContinuousClock.Instant)
        case lost
    }

    package let sessionID: UUID
    private let state: Mutex<State>

    package init(sessionID: UUID) {
        self.sessionID = sessionID
        state = Mutex(.wanted)
    }

    /// The lease was taken by a statement sent at `askedAt`.
    package func acquired(askedAt: ContinuousClock.Instant) {
        state.withLock { state in
            if case .wanted = state { state = .held(until: askedAt + Self.duration) }
        }
    }

    fileprivate var isHeld: Bool { state.withLock { if case .held = $0 { true } else { false } } }

    /// The lease was extended by a statement sent at `askedAt`.
    package func extended(askedAt: ContinuousClock.Instant) {
        state.withLock { state in
            if case .held(let until) = state { state = .held(until: max(until, askedAt + Self.duration)) }
        }
    }

    /// Another process holds the session.
    package func lost() { state.withLock { $0 = .lost } }

    /// Called before each write.
    /// - Throws: `.leaseLost`; `.leaseExpired` if it was not renewed in time.
    package func check(at now: ContinuousClock.Instant = .now) throws(UploadError) {
        switch state.withLock({ $0 }) {
        case .held(let until): if now >= until - Self.margin { throw .leaseExpired }
        case .wanted, .lost: throw .leaseLost
        }
    }
}

/// The sessions that requests of this process write to. Their leases in the database are renewed together, so that a
/// client that sends nothing for a while keeps its session, and no request needs a timer of its own.
package final class UploadLeases: Sendable {
    static let renewalInterval: Duration = .seconds(10)

    private let held = Mutex<[UUID: UploadLease]>([:])

    package init() {}

    /// `nil` if another request of this process writes to the session. The lease is wanted, and not acquired yet.
    package func take(_ sessionID: UUID) -> UploadLease? {
        held.withLock { held in
            guard held[sessionID] == nil else { return nil }
            let lease = UploadLease(sessionID: sessionID)
            held[sessionID] = lease
            return lease
        }
    }

    package func giveBack(_ lease: UploadLease) {
        held.withLock { _ = $0.removeValue(forKey: lease.sessionID) }
    }

    /// - Parameter renew: Extends leases and returns those that no other process has taken.
    package func renewAll(_ renew: ([UUID]) async throws -> Set<UUID>) async rethrows {
        // One that is only wanted has no row to extend, which would look as if somebody else had taken it.
        let leases = held.withLock { Array($0.values) }.filter(\.isHeld)
        guard !leases.isEmpty else { return }
        let askedAt = ContinuousClock.now
        let renewed = try await renew(leases.map(\.sessionID))
        for lease in leases {
            if renewed.contains(lease.sessionID) { lease.extended(askedAt: askedAt) } else { lease.lost() }
        }
    }
}
