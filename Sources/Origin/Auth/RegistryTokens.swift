// SPDX-License-Identifier: Apache-2.0

import Crypto
import Grammar
import Hashing
import JWTKit
import OriginMetadata
package import OriginSecrets

/// A token for `Authorization: Bearer`, as the token endpoint hands it out.
package struct SignedJWT: Sendable {
    package let token: String
    package let expiresInSeconds: Int64
    package let issuedAtUnixSeconds: Int64
}

/// What a registry token says once it has been verified.
package struct VerifiedJWT: Sendable {
    package let tokenID: Int64
    package let service: String
    package let scopes: [Scope]
    package let listsCatalog: Bool
    let notBeforeUnixSeconds: Int64
    let expiresAtUnixSeconds: Int64

    /// Whether it counts at this time for this audience. Clocks may differ by `RegistryTokens.leewaySeconds`.
    func holds(for service: String, atUnixSeconds now: Int64) -> Bool {
        self.service == service
            && now < expiresAtUnixSeconds.addingClamped(RegistryTokens.leewaySeconds)
            && notBeforeUnixSeconds <= now.addingClamped(RegistryTokens.leewaySeconds)
    }
}

/// Issues and verifies registry tokens: JWTs signed with Ed25519 under keys that all origins share.
///
/// One algorithm, keys only from our own set by `kid`, audience = host called, issuer fixed.
package struct RegistryTokens: Sendable {
    package static let lifetimeSeconds: Int64 = 900
    package static let leewaySeconds: Int64 = 60
    static let issuer = "depot-registry"

    private let keys: JWTKeyCollection
    private let keyIDs: Set<String>
    private let currentKeyID: String

    /// A signing key of the deployment: its id, and the 32 raw bytes of an Ed25519 private key.
    package struct Key: Sendable {
        package let id: String
        package let secret: [UInt8]

        package init(id: String, secret: [UInt8]) {
            self.id = id
            self.secret = secret
        }

        package static func generate() -> Key {
            Key(id: SecureRandom.label(16), secret: Array(Curve25519.Signing.PrivateKey().rawRepresentation))
        }
    }

    /// - Parameters:
    ///   - current: Signs, and verifies.
    ///   - others: Verify only: keys before and after a rotation.
    /// - Throws: `CryptoKitError` if a key is not 32 bytes.
    package init(current: Key, others: [Key] = []) async throws {
        keys = JWTKeyCollection()
        for key in [current] + others {
            let privateKey = try Curve25519.Signing.PrivateKey(rawRepresentation: key.secret)
            await keys.add(eddsa: EdDSA.PrivateKey(backing: privateKey), kid: JWKIdentifier(string: key.id))
        }
        keyIDs = Set(([current] + others).map(\.id))
        currentKeyID = current.id
    }

    private static let secretName = "jwt"

    /// The keys of the deployment; the first ones are made if there are none.
    package static func load(from store: SecretStore) async throws -> RegistryTokens {
        let secrets = try await store.loadOrCreateWithNext(name: secretName, generate: newSecret)
        guard let current = secrets.first(where: { $0.state == .current }) else {
            preconditionFailure("the first secret of a name is its current one")
        }
        let others = secrets.filter { $0.keyID != current.keyID }
        return try await RegistryTokens(
            current: Key(id: current.keyID, secret: current.bytes),
            others: others.map { Key(id: $0.keyID, secret: $0.bytes) })
    }

    /// Signs with another key from now on; what was signed before counts until it ends. Other origins follow.
    /// - Parameter age: Only if the last rotation is longer ago.
    /// - Returns: Whether it was done.
    package static func rotate(in store: SecretStore, ifOlderThan age: Duration) async throws(SecretsError) -> Bool {
        try await store.rotate(name: secretName, ifOlderThan: age, generate: newSecret)
    }

    @Sendable private static func newSecret() -> (keyID: String, bytes: [UInt8]) {
        let key = Key.generate()
        return (key.id, key.secret)
    }

    /// - Throws: Only if signing fails, which it does not for a valid key.
    package func issue(
        to identity: Identity,
        scopes: [Scope],
        listsCatalog: Bool = false,
        service: String,
        atUnixSeconds now: Int64
    ) async throws -> SignedJWT {
        let claims = RegistryClaims(
            iss: Self.issuer,
            aud: service,
            sub: "token:\(identity.tokenID)",
            jti: SecureRandom.label(16),
            iat: now,
            nbf: now,
            exp: now + Self.lifetimeSeconds,
            tid: identity.tokenID,
            access: scopes.map(RegistryClaims.Access.init) + (listsCatalog ? [.catalog] : []))
        let token = try await keys.sign(claims, kid: JWKIdentifier(string: currentKeyID))
        return SignedJWT(token: token, expiresInSeconds: Self.lifetimeSeconds, issuedAtUnixSeconds: now)
    }

    /// The content of a token that this deployment signed; `nil` for every other text. Time and audience are judged
    /// per request by `VerifiedJWT.holds`.
    package func verify(_ text: String) async -> VerifiedJWT? {
        guard let keyID = StrictJWT.keyID(of: text), keyIDs.contains(keyID),
            let claims = try? await keys.verify(text, as: RegistryClaims.self),
            claims.iss == Self.issuer
        else { return nil }
        return VerifiedJWT(
            tokenID: claims.tid,
            service: claims.aud,
            scopes: claims.scopes,
            listsCatalog: claims.listsCatalog,
            notBeforeUnixSeconds: claims.nbf,
            expiresAtUnixSeconds: claims.exp)
    }
}

extension Int64 {
    /// The sum, or the nearest representable number.
    fileprivate func addingClamped(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
