// SPDX-License-Identifier: Apache-2.0

import Hashing
import Logging
import OCI
package import OriginMetadata
import Synchronization

extension AuthService {
    /// The principal behind the `Authorization` headers of a request.
    ///
    /// - Parameter needs: The scope of what the request wants to do; named in the challenge, since clients ask for what
    ///   it names.
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), limited, unavailable.
    package func authenticate(
        _ caller: Caller,
        target: RegistryHost,
        needs: String? = nil
    ) async throws(AuthRefusal) -> Principal {
        let header = try authorization(of: caller, challenge: target.challenge(scope: needs))
        do throws(CredentialFault) {
            return try await judged(caller) { () async throws(CredentialFault) in
                switch PresentedCredential(header) {
                case .secret(let text, let userName):
                    let identity = try await self.identity(ofSecret: text, caller)
                    if let userName, userName != PresentedCredential.userName {
                        logger.notice("valid token presented with another user name than x-token")
                    }
                    return Principal(identity: identity, grantedScopes: nil, listsCatalog: true)
                case .bearer(let text):
                    return try await principal(ofBearer: text, service: target.service, caller)
                case nil:
                    throw .invalid
                }
            }
        } catch {
            throw error.refusal(challenge: target.challenge(scope: needs, error: .invalidToken))
        }
    }

    /// The identity behind the `Authorization` headers of a request to the admin API, which takes tokens of every kind
    /// and no registry tokens.
    ///
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), limited, unavailable.
    func identity(of caller: Caller) async throws(AuthRefusal) -> Identity {
        let challenge = "Bearer realm=\"depot-origin admin API\""
        let header = try authorization(of: caller, challenge: challenge)
        do throws(CredentialFault) {
            return try await judged(caller) { () async throws(CredentialFault) in
                switch PresentedCredential(header) {
                case .secret(let text, _), .bearer(let text): try await self.identity(ofSecret: text, caller)
                case nil: throw .invalid
                }
            }
        } catch {
            throw error.refusal(challenge: challenge)
        }
    }

    /// The identity of a secret in a form, as at the token endpoint.
    package func identity(ofSecret text: String, of caller: Caller) async throws(CredentialFault) -> Identity {
        try await judged(caller) { () async throws(CredentialFault) in
            try await self.identity(ofSecret: text, caller)
        }
    }

    /// Trades an identity token of a CI system for a token of its project (RFC 8693).
    ///
    /// - Parameter project: Public id of the project that is wanted, if any is.
    package func exchange(
        _ text: String, project: String?, of caller: Caller
    ) async throws(CredentialFault) -> (text: TokenText, record: TokenRecord) {
        guard let identities else { throw .invalid }
        return try await judged(caller) { () async throws(CredentialFault) in
            try await identities.exchange(text, project: project, of: caller)
        }
    }

    /// The identity of a token presented as itself.
    ///
    /// Why it fails is told only to who holds the whole secret: unknown, malformed and wrong look the same.
    private func identity(ofSecret text: String, _ caller: Caller) async throws(CredentialFault) -> Identity {
        let record: TokenRecord?
        if let token = TokenText(text) {
            record = try await storedToken(secretSHA256: token.sha256)
        } else {
            record = try await tokenOfIdentity(text, caller)
        }
        guard let record else { throw .invalid }
        return try use(record)
    }

    private func storedToken(secretSHA256 sha256: [UInt8]) async throws(CredentialFault) -> TokenRecord? {
        guard let key = Digest(algorithm: .sha256, bytes: sha256) else { throw .invalid }
        let store = store
        return try await remembered(\.tokensBySecret, key) { () async throws(DatabaseError) in
            try await store.token(secretSHA256: sha256)
        }
    }

    /// A CI job presents the same identity token as long as it runs: after the first time it is found like any other.
    private func tokenOfIdentity(_ text: String, _ caller: Caller) async throws(CredentialFault) -> TokenRecord? {
        guard let identities else { return nil }
        let sha256 = SHA256.hash(Array(text.utf8)).bytes
        if let known = try await storedToken(secretSHA256: sha256) { return known }
        guard let made = try await identities.token(forIdentity: text, of: caller) else { return nil }
        // What was remembered a moment ago is that there is none.
        if let key = Digest(algorithm: .sha256, bytes: sha256) {
            let now = clock.instant()
            cache.withLock { $0.tokensBySecret.insert(.init(value: made, loadedAt: now), for: key) }
        }
        return made
    }

    private func principal(
        ofBearer text: String, service: String, _ caller: Caller
    ) async throws(CredentialFault) -> Principal {
        let key = SHA256.hash(Array(text.utf8))
        let remembered = cache.withLock { $0.verifiedJWTs.value(for: key) }
        let verified: VerifiedJWT
        if let remembered {
            verified = remembered
        } else if let fresh = await tokens.verify(text) {
            cache.withLock { $0.verifiedJWTs.insert(fresh, for: key) }
            verified = fresh
        } else {
            return Principal(
                identity: try await identity(ofSecret: text, caller), grantedScopes: nil, listsCatalog: true)
        }
        guard verified.holds(for: service, atUnixSeconds: clock.unixSeconds) else { throw .invalid }
        let store = store
        let record = try await self.remembered(\.tokensByID, verified.tokenID) { () async throws(DatabaseError) in
            try await store.token(id: verified.tokenID)
        }
        guard let record else { throw .invalid }
        return Principal(
            identity: try use(record), grantedScopes: verified.scopes, listsCatalog: verified.listsCatalog)
    }

    /// The identity of a token that counts, which is thereby used once.
    private func use(_ record: TokenRecord) throws(CredentialFault) -> Identity {
        if record.revokedAt != nil { throw .revoked }
        if let expiresAt = record.expiresAt, expiresAt <= clock.now() { throw .expired(at: expiresAt) }
        let now = clock.instant()
        if let retryAfter = limits.withLock({ $0.used(token: record.id, at: now) }) {
            throw .limited(retryAfter: retryAfter)
        }
        return Identity(record)
    }

    /// The one header of a request; who has none is counted for its address.
    private func authorization(of caller: Caller, challenge: @autoclosure () -> String) throws(AuthRefusal) -> String {
        if let header = caller.authorization.first {
            guard caller.authorization.count == 1 else {
                throw AuthRefusal(.malformed, "more than one Authorization header")
            }
            return header
        }
        let now = clock.instant()
        if let retryAfter = limits.withLock({ $0.asked(from: caller.network, at: now) }) {
            throw CredentialFault.limited(retryAfter: retryAfter).refusal(challenge: nil)
        }
        throw AuthRefusal(.unauthorized, "authentication required", challenge: challenge())
    }

    // MARK: Limits

    /// Holds back the answer to a credential that does not count, and counts it for its address.
    package func judged<Value: Sendable>(
        _ caller: Caller, _ judge: () async throws(CredentialFault) -> Value
    ) async throws(CredentialFault) -> Value {
        let began = clock.instant()
        do throws(CredentialFault) {
            return try await judge()
        } catch {
            switch error {
            case .invalid, .revoked, .expired, .untrusted: break
            case .storeUnavailable, .limited: throw error
            }
            let now = clock.instant()
            if let retryAfter = limits.withLock({ $0.asked(from: caller.network, at: now) }) {
                throw .limited(retryAfter: retryAfter)
            }
            guard let delay = delays.withLock({ $0.failed(from: caller.network, at: now) }) else {
                throw .limited(retryAfter: LoginDelays.longest)
            }
            await clock.pause(delay - (now - began))
            delays.withLock { $0.ended() }
            throw error
        }
    }
}
