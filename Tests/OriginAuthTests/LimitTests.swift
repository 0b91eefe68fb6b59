// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPServer
import OCI
import OriginAuth
import OriginMetadata
import Testing

@Suite("Limits of requests and of failed log-ins")
struct LimitTests {
    private let start = ContinuousClock.now

    @Test("a bucket gives its burst at once, then its rate, and says when to come again")
    func bucket() {
        let rate = TokenBucket.Rate(perSecond: 10, burst: 3)
        var bucket = TokenBucket(rate, at: start)
        for _ in 0..<3 { #expect(bucket.take(rate, at: start) == nil) }
        #expect(bucket.take(rate, at: start) == .milliseconds(100))
        #expect(bucket.take(rate, at: start + .milliseconds(50)) == .milliseconds(50))
        #expect(bucket.take(rate, at: start + .milliseconds(100)) == nil)
        #expect(bucket.take(rate, at: start + .seconds(3600)) == nil)
        for _ in 0..<2 { #expect(bucket.take(rate, at: start + .seconds(3600)) == nil) }
        #expect(bucket.take(rate, at: start + .seconds(3600)) != nil)
        // A clock that goes back adds nothing.
        #expect(bucket.take(rate, at: start) != nil)
    }

    @Test("by default, ten pulls of 50 GB at once with one token, and a fleet that logs in from one address, pass")
    func defaults() {
        var limits = RequestLimits(RequestLimits.Rates())
        for _ in 0..<60_000 { #expect(limits.used(token: 1, at: start) == nil) }
        for _ in 60_000..<300_000 { _ = limits.used(token: 1, at: start) }
        #expect(limits.used(token: 1, at: start) != nil)
        #expect(limits.used(token: 2, at: start) == nil)
        for _ in 0..<10_000 { #expect(limits.asked(from: .v4(1), at: start) == nil) }
        #expect(limits.asked(from: .v4(1), at: start) != nil)
        #expect(limits.asked(from: .v4(2), at: start) == nil)
    }

    @Test("failures wait longer the more there are, up to 0.9 s, and are forgotten at five a second")
    func delays() {
        var delays = LoginDelays()
        var found: [Duration] = []
        for _ in 0..<60 {
            found.append(delays.failed(from: .v4(1), at: start) ?? .zero)
            delays.ended()
        }
        #expect(found.prefix(10).allSatisfy { $0 == LoginDelays.shortest })
        #expect(found[10] == .milliseconds(50))
        #expect(found.last == LoginDelays.longest)
        #expect(zip(found, found.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(delays.failed(from: .v4(2), at: start) == LoginDelays.shortest, "another address is not held back")
        #expect(delays.failed(from: .v4(1), at: start + .seconds(8)) == LoginDelays.shortest)
    }

    @Test("all addresses of an IPv6 /64 are one to the limits, and so are an IPv4 address and its mapped form")
    func networks() async throws {
        var rates = RequestLimits.Rates()
        rates.perAddress = .init(perSecond: 0.1, burst: 2)
        let fixture = try await AuthFixture(rates: rates)
        func statuses(_ addresses: [String]) async -> [Int] {
            var found: [Int] = []
            for address in addresses {
                found.append(await fixture.outcome([], .pull, from: address).status)
            }
            return found
        }
        let v6 = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::3", "2001:db8:1:3::1"]
        #expect(await statuses(v6) == [401, 401, 429, 401])
        #expect(await statuses(["192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"]) == [401, 401, 429, 401])
    }

    @Test("how a credential fails does not show in how long the answer takes")
    func failuresTakeTheSame() async throws {
        let fixture = try await AuthFixture()
        let ended = Date(timeIntervalSince1970: 0)
        let organization = TokenRecord.Holder.organization(1)
        let (revoked, expired) = (TokenText.generate(.organization), TokenText.generate(.organization))
        fixture.store.add(
            TokenRecord(id: 91, kind: .organization, holder: organization, name: "r", revokedAt: ended), revoked)
        fixture.store.add(
            TokenRecord(id: 92, kind: .organization, holder: organization, name: "e", expiresAt: ended), expired)
        let failing: [[String]] = [
            AuthFixture.basic(revoked.secret), AuthFixture.basic(expired.secret), AuthFixture.basic(""),
            AuthFixture.basic(TokenText.generate(.organization).secret),
            AuthFixture.basic(String(fixture.organizationToken.secret.dropLast())),
            ["Basic !!!"], ["Bearer a.b.c"], ["Digest x"],
        ]
        for (index, authorization) in failing.enumerated() {
            #expect(await fixture.outcome(authorization, .pull, from: "192.0.2.\(index)").status == 401)
        }
        #expect(fixture.clock.pauses == Array(repeating: LoginDelays.shortest, count: failing.count))
    }

    @Test("at most so many answers wait at once")
    func waiting() {
        var delays = LoginDelays()
        for address in 0..<UInt32(LoginDelays.waitingCountMax) {
            #expect(delays.failed(from: .v4(address), at: start) != nil)
        }
        #expect(delays.failed(from: .v6(1), at: start) == nil)
        delays.ended()
        #expect(delays.failed(from: .v6(1), at: start) != nil)
    }

    @Test("a good token is served at once, however often others failed from its address")
    func nobodyIsLockedOut() async throws {
        let fixture = try await AuthFixture()
        let wrong = AuthFixture.basic(TokenText.generate(.organization).secret)
        for _ in 0..<100 { #expect(await fixture.outcome(wrong, .pull).status == 401) }
        #expect(fixture.clock.pauses.count == 100)
        let good = AuthFixture.basic(fixture.organizationToken.secret)
        #expect(await fixture.outcome(good, .pull).status == 200)
        #expect(fixture.clock.pauses.count == 100)
    }

    @Test("a token that is used too often gets 429 and when to come again; challenges are limited by address")
    func tooMany() async throws {
        var rates = RequestLimits.Rates()
        rates.perToken = .init(perSecond: 1, burst: 2)
        rates.perAddress = .init(perSecond: 0.1, burst: 2)
        let fixture = try await AuthFixture(rates: rates)
        let good = AuthFixture.basic(fixture.organizationToken.secret)
        for authorization in [good, []] {
            let statuses = [
                await fixture.outcome(authorization, .pull).status, await fixture.outcome(authorization, .pull).status,
            ]
            #expect(statuses == (authorization.isEmpty ? [401, 401] : [200, 200]))
            do throws(AuthRefusal) {
                _ = try await fixture.service.authenticate(
                    AuthFixture.caller(authorization), target: AuthFixture.target)
                Issue.record("one more was let through")
            } catch {
                #expect(error.status == 429)
                #expect(error.code == .tooManyRequests)
                #expect(error.retryAfterSeconds == (authorization.isEmpty ? 10 : 1))
            }
        }
        fixture.clock.advance(.seconds(1))
        #expect(await fixture.outcome(good, .pull).status == 200)
    }
}
