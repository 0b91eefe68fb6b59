// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
import Hashing
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

        package init(now: @escaping @Sendable () -> Date, instant: @escaping @Sendable () -> ContinuousClock.Instant) {
            self.now = now
            self.instant = instant
        }

        package static let system = Clock(now: { Date() }, instant: { ContinuousClock.now })

        var unixSeconds: Int64 { Int64(now().timeIntervalSince1970) }
    }

    private let store: any CredentialStore
    private let tokens: RegistryTokens
    private let clock: Clock
    private let logger: Logger
    private let cache = Mutex(CredentialCache())

    package init(store: any CredentialStore, tokens: RegistryTokens, clock: Clock = .system, logger: Logger) {
        self.store = store
        self.tokens = tokens
        self.clock = clock
        self.logger = logger
    }

    // MARK: Authentication

    /// The principal behind the `Authorization` headers of a request.
    ///
    /// - Parameters:
    ///   - authorization: All values of the header; more than one is refused.
    ///   - needs: The scope of what the request wants to do; named in the challenge, since clients ask for what it names.
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), unavailable.
    package func authenticate(
        authorization: [String],
        target: RegistryHost,
        needs: String? = nil
    ) async throws(AuthRefusal) -> Principal {
        guard let header = authorization.first else {
            throw AuthRefusal(.unauthorized, "authentication required", challenge: target.challenge(scope: needs))
        }
        guard authorization.count == 1 else { throw AuthRefusal(.malformed, "more than one Authorization header") }
        do throws(CredentialFault) {
            switch PresentedCredential(header) {
            case .secret(let text, let userName):
                let identity = try await identity(ofSecret: text)
                if let userName, userName != PresentedCredential.userName {
                    logger.notice("valid token presented with another user name than x-token")
                }
                return Principal(identity: identity, grantedScopes: nil, listsCatalog: true)
            case .registryToken(let text):
                return try await principal(ofRegistryToken: text, service: target.service)
            case nil:
                throw .invalid
            }
        } catch {
            throw error.refusal(challenge: target.challenge(scope: needs, error: .invalidToken))
        }
    }

    /// The identity behind the `Authorization` headers of a request to the admin API, which takes the token of a user
    /// who administers the deployment, and no registry tokens.
    ///
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), denied, unavailable.
    package func administrator(authorization: [String]) async throws(AuthRefusal) -> Identity {
        let challenge = "Bearer realm=\"depot-origin admin API\""
        guard let header = authorization.first else {
            throw AuthRefusal(.unauthorized, "authentication required", challenge: challenge)
        }
        guard authorization.count == 1 else { throw AuthRefusal(.malformed, "more than one Authorization header") }
        let identity: Identity
        do throws(CredentialFault) {
            guard case .secret(let text, _) = PresentedCredential(header) else { throw .invalid }
            identity = try await self.identity(ofSecret: text)
        } catch {
            throw error.refusal(challenge: challenge)
        }
        guard identity.isAdministrator else { throw AuthRefusal(.denied, "not the token of an administrator") }
        return identity
    }

    /// The identity of a token presented as itself, as at the token endpoint or the admin API.
    ///
    /// Why it fails is told only to who holds the whole secret: unknown, malformed and wrong look the same.
    package func identity(ofSecret text: String) async throws(CredentialFault) -> Identity {
        guard let token = TokenText(text) else { throw .invalid }
        let sha256 = token.sha256
        guard let key = Digest(algorithm: .sha256, bytes: sha256) else { throw .invalid }
        let store = store
        let record = try await remembered(\.tokensBySecret, key) { () async throws(DatabaseError) in
            try await store.token(secretSHA256: sha256)
        }
        guard let record else { throw .invalid }
        try checkUsable(record)
        return Identity(record)
    }

    private func principal(
        ofRegistryToken text: String,
        service: String
    ) async throws(CredentialFault) -> Principal {
        let key = SHA256.hash(Array(text.utf8))
        let remembered = cache.withLock { $0.verifiedJWTs.value(for: key) }
        let verified: VerifiedJWT
        if let remembered {
            verified = remembered
        } else {
            guard let fresh = await tokens.verify(text) else { throw .invalid }
            cache.withLock { $0.verifiedJWTs.insert(fresh, for: key) }
            verified = fresh
        }
        guard verified.holds(for: service, atUnixSeconds: clock.unixSeconds) else { throw .invalid }
        let store = store
        let record = try await self.remembered(\.tokensByID, verified.tokenID) { () async throws(DatabaseError) in
            try await store.token(id: verified.tokenID)
        }
        guard let record else { throw .invalid }
        try checkUsable(record)
        return Principal(
            identity: Identity(record), grantedScopes: verified.scopes, listsCatalog: verified.listsCatalog)
    }

    private func checkUsable(_ record: TokenRecord) throws(CredentialFault) {
        if record.revokedAt != nil { throw .revoked }
        if let expiresAt = record.expiresAt, expiresAt <= clock.now() { throw .expired(at: expiresAt) }
    }

    // MARK: The gate

    /// The organization of a request, and the principal that may do `action` to `repository` in it: authentication,
    /// visibility, right and scope, in this order.
    ///
    /// - Throws: `AuthRefusal` of every kind. Without a credential the answer does not depend on what exists.
    package func admit(
        authorization: [String],
        target: RegistryHost,
        organization slug: OrganizationSlug,
        repository: RepositoryName,
        action: Action
    ) async throws(AuthRefusal) -> (principal: Principal, organization: Organization) {
        let needs = Scope(organization: slug, name: repository, actions: Self.challengedActions(for: action))
        let principal = try await authenticate(
            authorization: authorization, target: target, needs: needs.text(on: target))
        guard let organization = try await organization(slug: slug) else { throw Self.invisible }
        try authorize(principal, organization: organization, repository: repository, action: action, target: target)
        return (principal, organization)
    }

    /// The one gate.
    ///
    /// | identity | registry token | answer |
    /// |---|---|---|
    /// | does not see the organization | any | 404 |
    /// | sees it, lacks the right | any | 403 |
    /// | has the right | lacks the action | 401 `insufficient_scope` |
    /// | has the right | covers it, or the token itself | admitted |
    package func authorize(
        _ principal: Principal,
        organization: Organization,
        repository: RepositoryName,
        action: Action,
        target: RegistryHost
    ) throws(AuthRefusal) {
        guard principal.identity.sees(organization) else { throw Self.invisible }
        guard principal.identity.rights(in: organization).contains(action) else {
            let reason =
                principal.identity.kind == .pull
                ? "pull token is read only" : "the token may not \(action.rawValue) here"
            throw AuthRefusal(.denied, reason)
        }
        guard principal.covers(action, organization: organization.slug, repository: repository) else {
            let needs = Scope(
                organization: organization.slug, name: repository, actions: Self.challengedActions(for: action))
            throw AuthRefusal(
                .unauthorized,
                "the registry token does not cover this action",
                challenge: target.challenge(scope: needs.text(on: target), error: .insufficientScope))
        }
    }

    /// The identity whose repositories may be listed on this host.
    ///
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), unavailable.
    package func admitToCatalog(
        authorization: [String],
        target: RegistryHost
    ) async throws(AuthRefusal) -> Identity {
        let principal = try await authenticate(
            authorization: authorization, target: target, needs: CatalogScope.text)
        guard principal.listsCatalog else {
            throw AuthRefusal(
                .unauthorized,
                "the registry token does not cover the list of repositories",
                challenge: target.challenge(scope: CatalogScope.text, error: .insufficientScope))
        }
        return principal.identity
    }

    /// What a challenge asks for. A client that pushes also has to look: it would be sent back a second time.
    private static func challengedActions(for action: Action) -> Set<Action> {
        action == .push ? [.pull, .push] : [action]
    }

    private static let invisible = AuthRefusal(.invisible, "repository name not known to registry")

    /// An organization by its slug, remembered; `nil` if there is none.
    package func organization(slug: OrganizationSlug) async throws(AuthRefusal) -> Organization? {
        let store = store
        do throws(CredentialFault) {
            return try await remembered(\.organizations, slug) { () async throws(DatabaseError) in
                try await store.organization(slug: slug)
            }
        } catch {
            throw error.refusal(challenge: nil)
        }
    }

    // MARK: Issuing

    /// A registry token for the part of `scopes` that the identity has rights to; the rest is left out in silence, as
    /// docker's token specification asks.
    package func issueToken(
        for identity: Identity,
        scopes: [Scope],
        listsCatalog: Bool = false,
        service: String
    ) async throws -> SignedJWT {
        var granted: [Scope] = []
        for scope in scopes {
            guard let organization = try await organization(slug: scope.organization) else { continue }
            let actions = scope.actions.intersection(identity.rights(in: organization))
            if !actions.isEmpty {
                granted.append(Scope(organization: scope.organization, name: scope.name, actions: actions))
            }
        }
        return try await tokens.issue(
            to: identity, scopes: granted, listsCatalog: listsCatalog, service: service,
            atUnixSeconds: clock.unixSeconds)
    }

    // MARK: Remembering

    /// Rows were changed, by this origin before it answers, or by another as the change sequence tells.
    package func invalidate() { cache.withLock { $0.invalidate() } }

    /// The change sequence was read to its end; the read began at `instant`.
    package func synced(at instant: ContinuousClock.Instant) { cache.withLock { $0.synced(at: instant) } }

    private func remembered<Key: Hashable & Sendable, Value: Sendable>(
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
