// SPDX-License-Identifier: Apache-2.0

package import HTTPServer

/// How often each token may be used, and how often each address, or IPv6 /64, may ask without one that counts. A pure
/// value: no clock, lock or I/O.
///
/// One pull of 50 GB asks 6,000 times, a whole fleet may share a token, and hundreds of machines may stand behind one
/// address: so what bears a valid token counts for that token alone, never for its address, and the default is beyond
/// what one origin can answer on a few cores. It is there to be lowered, and to stop what has run wild.
package struct RequestLimits: Sendable {
    package struct Rates: Sendable, Equatable {
        package static let perTokenDefault = 50_000
        package static let perAddressDefault = 500

        /// `nil`: no limit.
        package var perToken: TokenBucket.Rate?
        /// Challenges that clients fetch before they log in, and credentials that do not count.
        package var perAddress: TokenBucket.Rate?

        /// - Parameters:
        ///   - perToken: Requests a second, 0 for no limit; six seconds of them may be saved up.
        ///   - perAddress: Likewise, of twenty seconds.
        package init(perToken: Int = perTokenDefault, perAddress: Int = perAddressDefault) {
            self.perToken = Self.rate(perToken, savedSeconds: 6)
            self.perAddress = Self.rate(perAddress, savedSeconds: 20)
        }

        private static func rate(_ perSecond: Int, savedSeconds: Int) -> TokenBucket.Rate? {
            guard perSecond > 0 else { return nil }
            return TokenBucket.Rate(perSecond: Double(perSecond), burst: Double(perSecond) * Double(savedSeconds))
        }
    }

    private let rates: Rates
    private var tokens = BoundedCache<Int64, TokenBucket>(generationCountMax: 8192)
    private var addresses = BoundedCache<ClientNetwork?, TokenBucket>(generationCountMax: 8192)

    /// Tokens that were used since the last `takeUsed`. What finds no place is written down the next time.
    private var usedTokens: Set<Int64> = []
    private static let usedCountMax = 64 * 1024

    package init(_ rates: Rates) { self.rates = rates }

    /// Tokens that were used since the last call.
    package mutating func takeUsed() -> Set<Int64> {
        defer { usedTokens = [] }
        return usedTokens
    }

    /// - Returns: `nil` if the token may be used now; otherwise when it may again.
    package mutating func used(token id: Int64, at now: ContinuousClock.Instant) -> Duration? {
        if usedTokens.count < Self.usedCountMax { usedTokens.insert(id) }
        guard let rate = rates.perToken else { return nil }
        return tokens.update(id, default: TokenBucket(rate, at: now)) { $0.take(rate, at: now) }
    }

    /// - Returns: `nil` if the address may ask now; otherwise when it may again.
    package mutating func asked(from address: ClientNetwork?, at now: ContinuousClock.Instant) -> Duration? {
        guard let rate = rates.perAddress else { return nil }
        return addresses.update(address, default: TokenBucket(rate, at: now)) { $0.take(rate, at: now) }
    }
}
