// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Synchronization

/// The right of one request to write to a session. Others find out at their own requests; this one finds out here.
final class UploadLease: Sendable {
    let sessionID: UUID
    private let lost = Atomic(false)

    init(sessionID: UUID) { self.sessionID = sessionID }

    var isLost: Bool { lost.load(ordering: .relaxed) }
    func markLost() { lost.store(true, ordering: .relaxed) }
}

/// The sessions that requests of this process write to. Their leases in the database are renewed together, so that a
/// client that sends nothing for a while keeps its session, and no request needs a timer of its own.
final class UploadLeases: Sendable {
    static let duration: Duration = .seconds(30)
    static let renewalInterval: Duration = .seconds(10)

    private let held = Mutex<[UUID: UploadLease]>([:])

    /// `nil` if another request of this process writes to the session.
    func take(_ sessionID: UUID) -> UploadLease? {
        held.withLock { held in
            guard held[sessionID] == nil else { return nil }
            let lease = UploadLease(sessionID: sessionID)
            held[sessionID] = lease
            return lease
        }
    }

    func giveBack(_ lease: UploadLease) {
        held.withLock { _ = $0.removeValue(forKey: lease.sessionID) }
    }

    /// - Parameter renew: Extends one lease; `false` if another process took it. Its failure ends the round: leases
    ///   stay as they are, since every write to a session's row checks its lease again.
    func renewAll(_ renew: (UUID) async throws -> Bool) async rethrows {
        for lease in held.withLock({ Array($0.values) }) where try await !renew(lease.sessionID) {
            lease.markLost()
        }
    }
}
