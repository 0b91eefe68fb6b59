// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OriginUploads
import Testing

@Suite struct UploadLeaseTests {
    private let start = ContinuousClock.now
    private var end: ContinuousClock.Instant { start + UploadLease.duration - UploadLease.margin }

    private func refusal(of lease: UploadLease, at now: ContinuousClock.Instant) -> UploadError? {
        do throws(UploadError) { try lease.check(at: now) } catch { return error }
        return nil
    }

    @Test("a process that slept past its lease writes nothing more, whoever has the session by then")
    func expiry() {
        let lease = UploadLease(sessionID: UUID(), askedAt: start)
        #expect(refusal(of: lease, at: end - .milliseconds(1)) == nil)
        guard case .leaseExpired = refusal(of: lease, at: end) else {
            Issue.record("the right to write ends before the lease does")
            return
        }
    }

    @Test("a renewal counts from when it was asked for, and never shortens")
    func renewal() {
        let lease = UploadLease(sessionID: UUID(), askedAt: start)
        lease.extended(askedAt: start + .seconds(10))
        lease.extended(askedAt: start)
        #expect(refusal(of: lease, at: end + .seconds(9)) == nil)
        #expect(refusal(of: lease, at: end + .seconds(10)) != nil)
    }

    @Test("a lost lease stays lost")
    func lost() {
        let lease = UploadLease(sessionID: UUID(), askedAt: start)
        lease.lost()
        lease.extended(askedAt: start + .seconds(10))
        guard case .leaseLost = refusal(of: lease, at: start) else {
            Issue.record("nothing brings a lease back")
            return
        }
    }
}
