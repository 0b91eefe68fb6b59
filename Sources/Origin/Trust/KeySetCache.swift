// SPDX-License-Identifier: Apache-2.0

/// What is remembered of issuers' keys, and when they are asked again. A pure value: no lock, clock, or I/O.
///
/// Keys are fresh for an hour. Older ones are used for a day while the issuer does not answer. A key that is not among
/// fresh ones has the issuer asked at most every 30 seconds, so that made-up key ids cost it nothing; an issuer that
/// failed is left alone for 5 seconds. One caller fetches, all others wait for it.
package struct KeySetCache: Sendable {
    package typealias Instant = ContinuousClock.Instant

    package static let issuerCountMax = 256
    package static let freshFor = Duration.seconds(3600)
    package static let usableFor = Duration.seconds(24 * 3600)
    package static let unknownKeyPause = Duration.seconds(30)
    package static let failurePause = Duration.seconds(5)

    /// What a caller who needs a key has to do.
    package enum Action: Sendable {
        /// The set has the key.
        case use(KeySet)
        /// Fetch the issuer's keys, report `fetched` or `failed`, and ask again.
        case fetch
        /// Another caller fetches: ask again when it has reported.
        case wait
        /// The issuer, when last asked, had no such key.
        case unknownKey
        /// The issuer does not answer, and no key that it gave before is left.
        case unavailable(reason: String)
    }

    fileprivate struct Entry {
        var keys: KeySet?
        var fetchedAt: Instant?
        /// Of the last fetch that was begun.
        var askedAt: Instant?
        /// Why the last fetch brought nothing; `nil` once one did.
        var failure: String?
        var isFetching = false
        var usedAt: Instant
    }

    private var entries: [String: Entry] = [:]

    package init() {}

    package var issuerCount: Int { entries.count }

    /// Whether a caller fetches, so that others may wait for its report.
    package func isFetching(_ issuer: String) -> Bool { entries[issuer]?.isFetching ?? false }

    /// A caller needs a key of an issuer.
    package mutating func want(keyID: String, of issuer: String, now: Instant) -> Action {
        if entries[issuer] == nil, !makeRoom() { return .unavailable(reason: "too many issuers are being asked") }
        var entry = entries[issuer] ?? Entry(usedAt: now)
        entry.usedAt = now
        let action = entry.action(for: keyID, now: now)
        if case .fetch = action {
            entry.isFetching = true
            entry.askedAt = now
        }
        entries[issuer] = entry
        return action
    }

    /// The fetch brought keys.
    package mutating func fetched(_ keys: KeySet, of issuer: String, now: Instant) {
        end(issuer) { entry in
            entry.keys = keys
            entry.fetchedAt = now
            entry.failure = nil
        }
    }

    /// The fetch brought none. What is known stays.
    package mutating func failed(_ issuer: String, reason: String, now: Instant) {
        end(issuer) { entry in
            entry.failure = reason
            // The pause counts from the end: a fetch that ran into its time limit took as long as the pause.
            entry.askedAt = now
        }
    }

    private mutating func end(_ issuer: String, _ change: (inout Entry) -> Void) {
        guard var entry = entries[issuer] else { preconditionFailure("an issuer that is asked is remembered") }
        precondition(entry.isFetching, "a fetch ends once")
        entry.isFetching = false
        change(&entry)
        entries[issuer] = entry
    }

    /// Forgets the issuer that was not needed for the longest time.
    /// - Returns: Whether there is room for another one.
    private mutating func makeRoom() -> Bool {
        guard entries.count >= Self.issuerCountMax else { return true }
        let idle = entries.filter { !$0.value.isFetching }.min { $0.value.usedAt < $1.value.usedAt }
        guard let idle else { return false }
        entries.removeValue(forKey: idle.key)
        return true
    }
}

extension KeySetCache.Entry {
    fileprivate func action(for keyID: String, now: KeySetCache.Instant) -> KeySetCache.Action {
        guard let keys, let fetchedAt, now - fetchedAt <= KeySetCache.usableFor else {
            if isFetching { return .wait }
            return isPausing(now) ? .unavailable(reason: failure ?? "no keys") : .fetch
        }
        let isFresh = now - fetchedAt <= KeySetCache.freshFor
        let hasKey = keys.contains(keyID: keyID)
        if isFresh, hasKey { return .use(keys) }
        // Nobody waits for an issuer that failed before while an old key will do.
        if hasKey, failure != nil, isFetching || isPausing(now) { return .use(keys) }
        if isFetching { return .wait }
        guard !isPausing(now, forUnknownKey: isFresh) else {
            return failure.map { .unavailable(reason: $0) } ?? .unknownKey
        }
        return .fetch
    }

    private func isPausing(_ now: KeySetCache.Instant, forUnknownKey: Bool = false) -> Bool {
        guard let askedAt else { return false }
        if forUnknownKey { return now - askedAt < KeySetCache.unknownKeyPause }
        return failure != nil && now - askedAt < KeySetCache.failurePause
    }
}
