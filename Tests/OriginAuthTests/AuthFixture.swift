// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Grammar
import Hashing
import Logging
import OCI
import OriginAuth
import OriginMetadata
import Synchronization

/// Rows in memory, counting look-ups, with a switch that makes the database away.
final class MemoryStore: CredentialStore {
    struct State {
        var tokens: [TokenRecord: [UInt8]] = [:]
        var organizations: [Organization] = []
        var queryCount = 0
        var isAway = false
    }

    let state = Mutex(State())

    var queryCount: Int { state.withLock(\.queryCount) }

    func add(_ record: TokenRecord, _ text: TokenText) { state.withLock { $0.tokens[record] = text.sha256 } }

    func replace(_ old: TokenRecord, by new: TokenRecord) {
        state.withLock { $0.tokens[new] = $0.tokens.removeValue(forKey: old) }
    }

    private func ask<Value>(_ body: (State) -> Value) throws(DatabaseError) -> Value {
        let (isAway, value) = state.withLock { state in
            state.queryCount += 1
            return (state.isAway, body(state))
        }
        if isAway { throw DatabaseError(.unavailable, message: "away") }
        return value
    }

    func token(secretSHA256: [UInt8]) async throws(DatabaseError) -> TokenRecord? {
        try ask { $0.tokens.first { $0.value == secretSHA256 }?.key }
    }

    func token(id: Int64) async throws(DatabaseError) -> TokenRecord? {
        try ask { $0.tokens.keys.first { $0.id == id } }
    }

    func organization(slug: OrganizationSlug) async throws(DatabaseError) -> Organization? {
        try ask { $0.organizations.first { $0.slug == slug } }
    }
}

/// Time that passes when the test says so.
final class TestClock: Sendable {
    private let start = ContinuousClock.now
    private let elapsed = Mutex(Duration.zero)

    func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }

    var unixSeconds: Int64 { 1_800_000_000 + elapsed.withLock { $0.components.seconds } }
    var instant: ContinuousClock.Instant { start + elapsed.withLock { $0 } }

    var authClock: AuthService.Clock {
        AuthService.Clock(
            now: { Date(timeIntervalSince1970: Double(self.unixSeconds)) }, instant: { self.instant })
    }
}

/// Two organizations, one token of each kind that matters, and the service in front of them.
struct AuthFixture {
    static let target = RegistryHost(organization: nil, service: "localhost:5000", realm: "http://localhost:5000/token")

    let store = MemoryStore()
    let clock = TestClock()
    let key = RegistryTokens.Key.generate()
    let acme = Organization(id: 1, slug: slug("acme"), label: "aaaaaaaaaaaaaaaa", missingReferences: .children)
    let other = Organization(id: 2, slug: slug("other"), label: "bbbbbbbbbbbbbbbb", missingReferences: .children)
    let repository = repositoryName("team/app")
    let organizationToken = TokenText.generate(.organization)
    let pullToken = TokenText.generate(.pull)
    let administratorToken = TokenText.generate(.user)
    let organizationRecord = TokenRecord(
        id: 11, kind: .organization, organizationID: 1, userID: nil, isAdministrator: false, name: "ci",
        expiresAt: nil, revokedAt: nil)
    let service: AuthService
    let tokens: RegistryTokens

    init() async throws {
        tokens = try await RegistryTokens(current: key)
        service = AuthService(
            store: store, tokens: tokens, clock: clock.authClock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        store.state.withLock { [acme, other] in $0.organizations = [acme, other] }
        store.add(organizationRecord, organizationToken)
        store.add(
            TokenRecord(
                id: 12, kind: .pull, organizationID: 1, userID: nil, isAdministrator: false, name: "pull",
                expiresAt: nil, revokedAt: nil), pullToken)
        store.add(
            TokenRecord(
                id: 13, kind: .user, organizationID: nil, userID: 1, isAdministrator: true, name: "admin",
                expiresAt: nil, revokedAt: nil), administratorToken)
    }

    static func basic(_ secret: String, user: String = "x-token") -> [String] {
        ["Basic " + Data("\(user):\(secret)".utf8).base64EncodedString()]
    }

    /// A registry token for the organization's token, with these actions on `repository`.
    func bearer(_ actions: Set<Action>, service name: String = target.service) async throws -> [String] {
        let identity = try await service.identity(ofSecret: organizationToken.secret)
        let scope = Scope(organization: acme.slug, name: repository, actions: actions)
        return ["Bearer " + (try await service.issueToken(for: identity, scopes: [scope], service: name).token)]
    }

    /// What the service says to these headers for one action on `repository`.
    func outcome(
        _ authorization: [String],
        _ action: Action,
        organization: OrganizationSlug? = nil,
        repository name: RepositoryName? = nil
    ) async -> Outcome {
        do throws(AuthRefusal) {
            let admitted = try await service.admit(
                authorization: authorization, target: Self.target, organization: organization ?? acme.slug,
                repository: name ?? repository, action: action)
            return .admitted(admitted.organization.id)
        } catch {
            return .refused(error.status, error.message, error.challenge)
        }
    }

    enum Outcome: Equatable {
        case admitted(Int64)
        case refused(Int, String, String?)

        var status: Int {
            switch self {
            case .admitted: 200
            case .refused(let status, _, _): status
            }
        }

        var challenge: String? {
            if case .refused(_, _, let challenge) = self { challenge } else { nil }
        }
    }

    /// A JWT with any header and claims, signed with any key.
    static func forge(header: String, claims: String, secret: [UInt8]) throws -> String {
        let input = Base64URL.encode(Array(header.utf8)) + "." + Base64URL.encode(Array(claims.utf8))
        let signature = try Curve25519.Signing.PrivateKey(rawRepresentation: secret).signature(for: Array(input.utf8))
        return input + "." + Base64URL.encode(Array(signature))
    }
}

func slug(_ text: String) -> OrganizationSlug {
    guard let slug = OrganizationSlug(text) else { preconditionFailure("\(text) is no slug") }
    return slug
}

func repositoryName(_ text: String) -> RepositoryName {
    guard let name = RepositoryName(text) else { preconditionFailure("\(text) is no repository name") }
    return name
}
