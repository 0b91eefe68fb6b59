// SPDX-License-Identifier: Apache-2.0

/// How often each token may be used, and how often each address may ask without one that counts. A pure value: no
/// clock, lock or I/O.
///
/// One pull of 50 GB asks 6,000 times, and hundreds of machines may stand behind one address: so what bears a valid
/// token counts for that token alone, and never for its address.
package struct RequestLimits: Sendable {
    package struct Rates: Sendable, Equatable {
        /// `nil`: no limit.
        package var perToken: TokenBucket.Rate? = .init(perSecond: 10_000, burst: 60_000)
        /// Challenges that clients fetch before they log in, and credentials that do not count.
        package var perAddress: TokenBucket.Rate? = .init(perSecond: 500, burst: 10_000)

        package init() {}
    }

    private let rates: Rates
    private var tokens = BoundedCache<Int64, TokenBucket>(generationCountMax: 8192)
    private var addresses = BoundedCache<String, TokenBucket>(generationCountMax: 8192)

    package init(_ rates: Rates) { self.rates = rates }

    /// - Returns: `nil` if the token may be used now; otherwise when it may again.
    package mutating func used(token id: Int64, at now: ContinuousClock.Instant) -> Duration? {
        guard let rate = rates.perToken else { return nil }
        var bucket = tokens.value(for: id) ?? TokenBucket(rate, at: now)
        defer { tokens.insert(bucket, for: id) }
        return bucket.take(rate, at: now)
    }

    /// - Returns: `nil` if the address may ask now; otherwise when it may again.
    package mutating func asked(from address: String, at now: ContinuousClock.Instant) -> Duration? {
        guard let rate = rates.perAddress else { return nil }
        var bucket = addresses.value(for: address) ?? TokenBucket(rate, at: now)
        defer { addresses.insert(bucket, for: address) }
        return bucket.take(rate, at: now)
    }
}
