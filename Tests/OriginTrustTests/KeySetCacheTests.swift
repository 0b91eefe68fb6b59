// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginTrust
import Testing

/// When an issuer is asked: every state, by sequences of events.
@Suite struct KeySetCacheTests {
    private let issuer = "https://issuer.example"
    private let start = ContinuousClock.now

    /// What a caller is told, without the keys.
    private enum Told: Equatable { case use, fetch, wait, unknownKey, unavailable(String) }

    private func told(_ action: KeySetCache.Action) -> Told {
        switch action {
        case .use: .use
        case .fetch: .fetch
        case .wait: .wait
        case .unknownKey: .unknownKey
        case .unavailable(let reason): .unavailable(reason)
        }
    }

    private func keys(_ ids: String...) throws -> KeySet {
        try KeySet(ScriptedIssuer.keySet(ids.map { try TestKey.ed25519($0).jwk() }))
    }

    private func want(_ cache: inout KeySetCache, _ keyID: String, at seconds: Double) -> Told {
        told(cache.want(keyID: keyID, of: issuer, now: start + .seconds(seconds)))
    }

    private func filled(_ ids: String...) throws -> KeySetCache {
        var cache = KeySetCache()
        _ = want(&cache, "a", at: 0)
        cache.fetched(
            try KeySet(ScriptedIssuer.keySet(ids.map { try TestKey.ed25519($0).jwk() })), of: issuer, now: start)
        return cache
    }

    @Test("the first caller fetches, the others wait, and then all use what came")
    func oneFetch() throws {
        var cache = KeySetCache()
        #expect(!cache.isFetching(issuer))
        try #require(want(&cache, "a", at: 0) == .fetch)
        #expect(cache.isFetching(issuer))
        #expect(want(&cache, "a", at: 1) == .wait)
        #expect(want(&cache, "b", at: 1) == .wait)
        cache.fetched(try keys("a"), of: issuer, now: start + .seconds(2))
        #expect(!cache.isFetching(issuer))
        #expect(want(&cache, "a", at: 2) == .use)
        #expect(want(&cache, "b", at: 2) == .unknownKey)
    }

    @Test("issuers do not wait for one another")
    func otherIssuer() throws {
        var cache = KeySetCache()
        try #require(want(&cache, "a", at: 0) == .fetch)
        #expect(told(cache.want(keyID: "a", of: "https://other.example", now: start)) == .fetch)
    }

    @Test("keys are fresh for an hour; then one caller fetches again and the others wait")
    func freshness() throws {
        var cache = try filled("a")
        #expect(want(&cache, "a", at: 3600) == .use)
        try #require(want(&cache, "a", at: 3601) == .fetch)
        #expect(want(&cache, "a", at: 3601) == .wait)
        cache.fetched(try keys("a"), of: issuer, now: start + .seconds(3602))
        #expect(want(&cache, "a", at: 7202) == .use)
    }

    @Test("an unknown key has the issuer asked at most every 30 seconds")
    func unknownKey() throws {
        var cache = try filled("a")
        #expect(want(&cache, "b", at: 29.9) == .unknownKey)
        try #require(want(&cache, "b", at: 30) == .fetch)
        #expect(want(&cache, "c", at: 30) == .wait)
        #expect(want(&cache, "a", at: 30) == .use)
        cache.fetched(try keys("a", "b"), of: issuer, now: start + .seconds(31))
        #expect(want(&cache, "b", at: 31) == .use)
        #expect(want(&cache, "c", at: 31) == .unknownKey)
        #expect(want(&cache, "c", at: 59.9) == .unknownKey)
        try #require(want(&cache, "c", at: 60) == .fetch)
    }

    @Test("a key that a refreshed set lacks is not used any more")
    func withdrawn() throws {
        var cache = try filled("a")
        try #require(want(&cache, "a", at: 3601) == .fetch)
        cache.fetched(try keys("b"), of: issuer, now: start + .seconds(3601))
        #expect(want(&cache, "a", at: 3602) == .unknownKey)
    }

    @Test("an issuer that failed is left alone for 5 seconds, counted from the failure")
    func failurePause() throws {
        var cache = KeySetCache()
        try #require(want(&cache, "a", at: 0) == .fetch)
        cache.failed(issuer, reason: "away", now: start + .seconds(5))
        #expect(want(&cache, "a", at: 9.9) == .unavailable("away"))
        try #require(want(&cache, "a", at: 10) == .fetch)
        #expect(want(&cache, "a", at: 10) == .wait)
    }

    @Test("while the issuer is away, stale keys are used for a day, and nobody waits for it twice")
    func stale() throws {
        var cache = try filled("a")
        try #require(want(&cache, "a", at: 4000) == .fetch)
        cache.failed(issuer, reason: "away", now: start + .seconds(4000))
        #expect(want(&cache, "a", at: 4001) == .use)
        try #require(want(&cache, "a", at: 4005) == .fetch)
        #expect(want(&cache, "a", at: 4005) == .use)
        #expect(want(&cache, "b", at: 4005) == .wait)
        cache.failed(issuer, reason: "still away", now: start + .seconds(4006))
        #expect(want(&cache, "b", at: 4007) == .unavailable("still away"))
        try #require(want(&cache, "a", at: 86_400) == .fetch)
        cache.failed(issuer, reason: "gone", now: start + .seconds(86_400))
        #expect(want(&cache, "a", at: 86_400) == .use)
        #expect(want(&cache, "a", at: 86_401) == .unavailable("gone"))
        try #require(want(&cache, "a", at: 86_405) == .fetch)
    }

    @Test("a failed look for an unknown key leaves fresh keys in use")
    func failedRefresh() throws {
        var cache = try filled("a")
        try #require(want(&cache, "b", at: 30) == .fetch)
        cache.failed(issuer, reason: "away", now: start + .seconds(31))
        #expect(want(&cache, "a", at: 31) == .use)
        #expect(want(&cache, "b", at: 36) == .unavailable("away"))
        try #require(want(&cache, "b", at: 61) == .fetch)
        cache.fetched(try keys("a"), of: issuer, now: start + .seconds(61))
        #expect(want(&cache, "b", at: 62) == .unknownKey)
    }

    @Test("256 issuers are remembered; the one unused for longest makes room, unless it is being asked")
    func bound() throws {
        var cache = KeySetCache()
        func name(_ index: Int) -> String { "https://\(index).example" }
        func told(_ index: Int, at seconds: Int) -> Told {
            self.told(cache.want(keyID: "a", of: name(index), now: start + .seconds(seconds)))
        }
        for index in 0..<256 { #expect(told(index, at: index) == .fetch) }
        #expect(told(256, at: 300) == .unavailable("too many issuers are being asked"))
        cache.fetched(try keys("a"), of: name(7), now: start)
        cache.fetched(try keys("a"), of: name(9), now: start)
        #expect(told(7, at: 301) == .use)
        try #require(told(256, at: 302) == .fetch)
        #expect(cache.issuerCount == 256)
        #expect(told(7, at: 303) == .use)
        try #require(told(9, at: 304) == .fetch)
        #expect(told(7, at: 305) == .unavailable("too many issuers are being asked"))
    }
}
