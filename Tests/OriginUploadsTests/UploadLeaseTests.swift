// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OriginUploads
import Testing

@Suite struct UploadLeaseTests {
    private let start = ContinuousClock.now
    private var end: ContinuousClock.Instant { start + UploadLease.duration - UploadLease.margin }

    private func held(at instant: ContinuousClock.Instant) -> UploadLease {
        let lease = UploadLease(sessionID: UUID())
        lease.acquired(askedAt: instant)
        return lease
    }

    @Test("a round of renewals leaves a lease alone that the database was not asked for yet")
    func renewalBeforeAcquisition() async throws {
        let leases = UploadLeases()
        let wanted = try #require(leases.take(UUID()))
        let held = try #require(leases.take(UUID()))
        held.acquired(askedAt: start)
        var renewed: [UUID] = []
        await leases.renewAll { ids in
            renewed += ids
            return []
        }
        #expect(renewed == [held.sessionID])
        wanted.acquired(askedAt: start)
        #expect(refusal(of: wanted, at: start) == nil)
        #expect(refusal(of: held, at: start) != nil)
    }

    @Test("nothing is written under a lease that is only wanted")
    func wanted() {
        #expect(refusal(of: UploadLease(sessionID: UUID()), at: start) != nil)
    }

    private func refusal(of lease: UploadLease, at now: ContinuousClock.Instant) -> UploadError? {
        do throws(UploadError) { try lease.check(at: now) } catch { return error }
        return nil
    }

    @Test("a process that slept past its lease writes nothing more, whoever has the session by then")
    func expiry() {
        let lease = held(at: start)
        #expect(refusal(of: lease, at: end - .milliseconds(1)) == nil)
        guard case .leaseExpired = refusal(of: lease, at: end) else {
            Issue.record("the right to write ends before the lease does")
            return
        }
    }

    @Test("a renewal counts from when it was asked for, and never shortens")
    func renewal() {
        let lease = held(at: start)
        lease.extended(askedAt: start + .seconds(10))
        lease.extended(askedAt: start)
        #expect(refusal(of: lease, at: end + .seconds(9)) == nil)
        #expect(refusal(of: lease, at: end + .seconds(10)) != nil)
    }

    @Test("a lost lease stays lost")
    func lost() {
        let lease = held(at: start)
        lease.lost()
        lease.extended(askedAt: start + .seconds(10))
        guard case .leaseLost = refusal(of: lease, at: start) else {
            Issue.record("nothing brings a lease back")
            return
        }
    }
}
