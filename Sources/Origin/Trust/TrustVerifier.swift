// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import HTTPFetch
package import Logging
import OCI
import Synchronization
package import Telemetry

/// Verifies identity tokens of CI systems: signature by the keys that the issuer publishes, and times.
///
/// A shell around `KeySetCache`: it fetches when that says so, and lets all who need the same issuer wait for one fetch.
/// It asks whatever issuer a token names, so call it only with tokens whose `claimedIssuer` some policy names. Whether the
/// identity is allowed anything is for `TrustPolicy.firstMatch` to say.
///
/// Limits: 256 issuers, one fetch of at most 5 seconds per issuer at a time.
package final class TrustVerifier: Sendable {
    /// Clocks of issuers and ours may differ by this.
    package static let leewaySeconds: Int64 = 60
    /// Tokens of CI jobs live for minutes to hours; one that lives longer is no such token.
    package static let lifetimeSecondsMax: Int64 = 24 * 3600
    /// A caller asks, waits or fetches, and asks again. More rounds than two come only of a clock that jumps.
    private static let roundCountMax = 4

    /// Where the time comes from.
    package struct Clock: Sendable {
        package let unixSeconds: @Sendable () -> Int64
        package let now: @Sendable () -> ContinuousClock.Instant

        package static let system = Clock(
            unixSeconds: { Int64(Date().timeIntervalSince1970) }, now: { ContinuousClock.now })

        package init(
            unixSeconds: @escaping @Sendable () -> Int64, now: @escaping @Sendable () -> ContinuousClock.Instant
        ) {
            self.unixSeconds = unixSeconds
            self.now = now
        }
    }

    private struct State {
        var cache = KeySetCache()
        /// By issuer: who waits for a fetch to end.
        var waiters: [String: [CheckedContinuation<Void, Never>]] = [:]
    }

    private let documents: IssuerDocuments
    private let privateHosts: Set<String>
    private let clock: Clock
    private let logger: Logger
    private let fetchedCounter: Counter
    private let failedCounter: Counter
    private let state = Mutex(State())

    /// - Parameters:
    ///   - fetcher: One for this purpose alone: its connections and limits are those of hosts that others name.
    ///   - privateHosts: As `TrustPolicy` takes them. Their issuers may have addresses inside this network.
    ///   - fetchTimeout: For both requests that fetch an issuer's keys.
    package init(
        fetcher: Fetcher, privateHosts: Set<String>, fetchTimeout: Duration = .seconds(5), clock: Clock = .system,
        logger: Logger, metrics: Metrics
    ) {
        documents = IssuerDocuments(fetcher: fetcher, privateHosts: privateHosts, totalTimeout: fetchTimeout)
        self.privateHosts = privateHosts
        self.clock = clock
        self.logger = logger
        let name = "depot_origin_trust_key_fetches_total"
        let help = "Fetches of the keys of identity issuers."
        fetchedCounter = metrics.counter(name, help: help, labels: [("result", "fetched")])
        failedCounter = metrics.counter(name, help: help, labels: [("result", "failed")])
    }

    /// - Throws: `.outOfTime`, `.untrustedIssuer`, `.issuerUnavailable`, `.unknownKey`, `.badSignature`.
    /// - Note: A cancelled caller waits for a fetch all the same, which takes 5 seconds at most.
    package func verify(_ token: IdentityToken) async throws(TrustFault) -> VerifiedIdentity {
        // Before the signature, because it costs nothing: what comes of it is a refusal only.
        try checkTimes(token.claims)
        guard let issuer = TrustURL(issuer: token.claimedIssuer),
            !issuer.isPlainHTTP || privateHosts.contains(issuer.host)
        else {
            throw TrustFault(
                .untrustedIssuer, "the issuer of the identity token is no https URL that can be asked",
                detail: "issuer \(TrustFault.quoted(token.claimedIssuer)) is not asked")
        }
        try await keys(keyID: token.claimedKeyID, of: issuer).verify(token)
        guard let identity = VerifiedIdentity(verified: token.claims) else {
            preconditionFailure("issuer and expiry were checked")
        }
        return identity
    }

    /// RFC 7519, sections 4.1.4 to 4.1.6. Times are whole seconds; RFC 7519 allows fractions, which no issuer sends.
    private func checkTimes(_ claims: JSONValue) throws(TrustFault) {
        let now = clock.unixSeconds()
        guard let expiresAt = try seconds(claims["exp"], "exp") else {
            throw TrustFault(.outOfTime, "the identity token never expires")
        }
        // The differences are of times that are not negative, so they cannot overflow.
        guard now - expiresAt < Self.leewaySeconds else {
            throw TrustFault(.outOfTime, "the identity token has expired", detail: "it expired at \(expiresAt)")
        }
        guard expiresAt - now <= Self.lifetimeSecondsMax else {
            throw TrustFault(
                .outOfTime, "the identity token lives for more than a day", detail: "it expires at \(expiresAt)")
        }
        for claim in ["nbf", "iat"] {
            guard let instant = try seconds(claims[claim], claim) else { continue }
            guard instant - now <= Self.leewaySeconds else {
                throw TrustFault(
                    .outOfTime, "the identity token is not valid yet: check the clocks",
                    detail: "its \(claim) is \(instant), it is \(now)")
            }
        }
    }

    private func seconds(_ value: JSONValue?, _ claim: String) throws(TrustFault) -> Int64? {
        guard let value else { return nil }
        guard let seconds = value.integerValue, seconds >= 0 else {
            throw .malformed("claim \(claim) is no time in whole seconds")
        }
        return seconds
    }
}

extension TrustVerifier {
    /// A set that has the key.
    private func keys(keyID: String, of issuer: TrustURL) async throws(TrustFault) -> KeySet {
        for _ in 0..<Self.roundCountMax {
            let now = clock.now()
            switch state.withLock({ $0.cache.want(keyID: keyID, of: issuer.text, now: now) }) {
            case .use(let keys): return keys
            case .fetch:
                // A task of its own, so that the fetch outlives a caller who hangs up: others wait for it, and whoever
                // sends made-up keys and hangs up would otherwise have the issuer asked without a pause.
                await Task { await fetch(issuer) }.value
            case .wait: await fetchEnded(issuer.text)
            case .unknownKey:
                throw TrustFault(
                    .unknownKey, "the issuer has no such key",
                    detail: "issuer \(issuer.text) has no key \(TrustFault.quoted(keyID))")
            case .unavailable(let reason): throw unavailable(issuer, reason)
            }
        }
        throw unavailable(issuer, "its keys were asked for too often")
    }

    private func unavailable(_ issuer: TrustURL, _ reason: String) -> TrustFault {
        TrustFault(
            .issuerUnavailable, "the keys of the identity token's issuer cannot be had: try again shortly",
            detail: "issuer \(issuer.text): \(reason)")
    }

    /// Asks the issuer, reports to the cache, and wakes all who wait.
    private func fetch(_ issuer: TrustURL) async {
        do throws(KeySetError) {
            let keys = try await documents.keys(of: issuer)
            let now = clock.now()
            fetchedCounter.add()
            end(issuer.text) { $0.fetched(keys, of: issuer.text, now: now) }
        } catch {
            let now = clock.now()
            failedCounter.add()
            logger.warning(
                "an identity issuer gives no keys", metadata: ["issuer": "\(issuer.text)", "reason": "\(error)"])
            end(issuer.text) { $0.failed(issuer.text, reason: error.description, now: now) }
        }
    }

    private func end(_ issuer: String, _ report: (inout KeySetCache) -> Void) {
        let waiters = state.withLock { state in
            report(&state.cache)
            return state.waiters.removeValue(forKey: issuer) ?? []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns once nobody fetches for the issuer.
    private func fetchEnded(_ issuer: String) async {
        await withCheckedContinuation { continuation in
            let isFetching = state.withLock { state in
                guard state.cache.isFetching(issuer) else { return false }
                state.waiters[issuer, default: []].append(continuation)
                return true
            }
            // It ended between the question and this one.
            if !isFetching { continuation.resume() }
        }
    }
}
