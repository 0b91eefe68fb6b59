// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import Logging
package import OCI
package import OriginMetadata
import Synchronization

/// Who is asking, and may they: the one place where credentials become principals and principals become decisions.
///
/// Warm requests ask nobody: verified registry tokens, token rows and organizations are remembered in bounded caches
/// that follow the change sequence (`CredentialCache`).
package final class AuthService: Sendable {
    /// Clocks, so that tests own the time.
    package struct Clock: Sendable {
        package let now: @Sendable () -> Date
        package let instant: @Sendable () -> ContinuousClock.Instant
        /// Returns early when the task is cancelled.
        package let pause: @Sendable (Duration) async -> Void

        package init(
            now: @escaping @Sendable () -> Date,
            instant: @escaping @Sendable () -> ContinuousClock.Instant,
            pause: @escaping @Sendable (Duration) async -> Void
        ) {
            self.now = now
            self.instant = instant
            self.pause = pause
        }

        package static let system = Clock(
            now: { Date() }, instant: { ContinuousClock.now }, pause: { try? await Task.sleep(for: $0) })

        var unixSeconds: Int64 { Int64(now().timeIntervalSince1970) }
    }

    let store: any CredentialStore
    private let registryTokens: Mutex<RegistryTokens>
    let identities: (any IdentityExchange)?
    let clock: Clock
    let logger: Logger
    let cache = Mutex(CredentialCache())
    let limits: Mutex<RequestLimits>
    let delays = Mutex(LoginDelays())

    /// - Parameter identities: Judges identity tokens of CI systems; without it none counts.
    package init(
        store: any CredentialStore,
        tokens: RegistryTokens,
        identities: (any IdentityExchange)? = nil,
        rates: RequestLimits.Rates = RequestLimits.Rates(),
        clock: Clock = .system,
        logger: Logger
    ) {
        self.store = store
        registryTokens = Mutex(tokens)
        self.identities = identities
        self.clock = clock
        self.logger = logger
        limits = Mutex(RequestLimits(rates))
    }

    // MARK: Keys

    var tokens: RegistryTokens { registryTokens.withLock { $0 } }

    /// The deployment's keys are other ones. What a forgotten key signed counts no more, verified before or not.
    package func replace(_ tokens: RegistryTokens) {
        registryTokens.withLock { $0 = tokens }
        cache.withLock { $0.verifiedJWTs.removeAll() }
    }

    // MARK: Remembering

    /// Rows were changed, by this origin before it answers, or by another as the change sequence tells.
    package func invalidate() { cache.withLock { $0.invalidate() } }

    /// The change sequence was read to its end; the read began at `instant`.
    package func synced(at instant: ContinuousClock.Instant) { cache.withLock { $0.synced(at: instant) } }

    /// Ids of the tokens that were used since the last call.
    package func takeUsedTokens() -> [Int64] { limits.withLock { $0.takeUsed() }.sorted() }

    /// An organization by its slug, remembered; `nil` if there is none.
    /// - Throws: `AuthRefusal` of kind unavailable.
    package func organization(slug: OrganizationSlug) async throws(AuthRefusal) -> Organization? {
        let store = store
        return try await rememberedOrRefused(\.organizations, slug) { () async throws(DatabaseError) in
            try await store.organization(slug: slug)
        }
    }

    /// The project that a repository is linked to, remembered; `nil` if it is to none, or is not there.
    func projectID(of name: RepositoryName, in organization: Organization) async throws(AuthRefusal) -> Int64? {
        let store = store
        let key = CredentialCache.RepositoryKey(organizationID: organization.id, name: name)
        return try await rememberedOrRefused(\.projects, key) { () async throws(DatabaseError) in
            try await store.repository(organizationID: organization.id, name: name)?.projectID
        }
    }

    private func rememberedOrRefused<Key: Hashable & Sendable, Value: Sendable>(
        _ table: any WritableKeyPath<CredentialCache, BoundedCache<Key, CredentialCache.Entry<Value>>> & Sendable,
        _ key: Key,
        load: @Sendable () async throws(DatabaseError) -> Value
    ) async throws(AuthRefusal) -> Value {
        do throws(CredentialFault) {
            return try await remembered(table, key, load: load)
        } catch {
            throw error.refusal(challenge: nil)
        }
    }

    func remembered<Key: Hashable & Sendable, Value: Sendable>(
        _ table: any WritableKeyPath<CredentialCache, BoundedCache<Key, CredentialCache.Entry<Value>>> & Sendable,
        _ key: Key,
        load: @Sendable () async throws(DatabaseError) -> Value
    ) async throws(CredentialFault) -> Value {
        let now = clock.instant()
        let (held, freshness, epoch) = cache.withLock { cache in
            let held = cache[keyPath: table].value(for: key)
            let freshness = held.map { cache.freshness(loadedAt: $0.loadedAt, now: now) } ?? .expired
            return (held, freshness, cache.epoch)
        }
        if let held, freshness == .fresh { return held.value }
        do throws(DatabaseError) {
            let value = try await load()
            cache.withLock { cache in
                if cache.epoch == epoch { cache[keyPath: table].insert(.init(value: value, loadedAt: now), for: key) }
            }
            return value
        } catch {
            if let held, freshness == .stale { return held.value }
            logger.warning("credential look-up failed", metadata: ["error": "\(error)"])
            throw .storeUnavailable
        }
    }
}
