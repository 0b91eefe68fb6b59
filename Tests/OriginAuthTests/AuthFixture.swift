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
        var projects: [Project] = []
        var repositories: [Repository] = []
        /// What the reference of a token reaches besides itself.
        var reached: [OCI.Digest] = []
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

    func project(_ publicID: String, inOrganization id: Int64) async throws(DatabaseError) -> Project? {
        try ask { $0.projects.first { $0.publicID == publicID && $0.organizationID == id } }
    }

    func repository(organizationID: Int64, name: RepositoryName) async throws(DatabaseError) -> Repository? {
        try ask { $0.repositories.first { $0.organizationID == organizationID && $0.name == name } }
    }

    func reaches(
        _ digest: OCI.Digest, from reference: String, inRepository id: Int64
    ) async throws(DatabaseError) -> Bool {
        try ask { $0.reached.contains(digest) }
    }

    func organization(slug: OrganizationSlug) async throws(DatabaseError) -> Organization? {
        try ask { $0.organizations.first { $0.slug == slug } }
    }
}

/// Time that passes when the test says so.
final class TestClock: Sendable {
    private let start = ContinuousClock.now
    private let elapsed = Mutex(Duration.zero)

    private let paused = Mutex<[Duration]>([])

    func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }

    /// What was waited for, without waiting.
    var pauses: [Duration] { paused.withLock { $0 } }

    var unixSeconds: Int64 { 1_800_000_000 + elapsed.withLock { $0.components.seconds } }
    var instant: ContinuousClock.Instant { start + elapsed.withLock { $0 } }

    var authClock: AuthService.Clock {
        AuthService.Clock(
            now: { Date(timeIntervalSince1970: Double(self.unixSeconds)) }, instant: { self.instant },
            pause: { duration in self.paused.withLock { $0.append(duration) } })
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
    let project = Project(id: 31, organizationID: 1, publicID: "projectaaa", name: "web")
    let otherProject = Project(id: 32, organizationID: 1, publicID: "projectbbb", name: "api")
    let organizationToken = TokenText.generate(.organization)
    let pullToken = TokenText.generate(.pull)
    let administratorToken = TokenText.generate(.user)
    let organizationRecord = TokenRecord(id: 11, kind: .organization, holder: .organization(1), name: "ci")
    let service: AuthService
    let tokens: RegistryTokens

    init(rates: RequestLimits.Rates = RequestLimits.Rates()) async throws {
        tokens = try await RegistryTokens(current: key)
        service = AuthService(
            store: store, tokens: tokens, rates: rates, clock: clock.authClock,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        store.state.withLock { [acme, other, project, otherProject] state in
            state.organizations = [acme, other]
            state.projects = [project, otherProject]
        }
        store.add(organizationRecord, organizationToken)
        store.add(
            TokenRecord(
                id: 12, kind: .pull,
                holder: .repository(41, name: repository, reference: nil, organizationID: 1), name: "pull"),
            pullToken)
        store.add(
            TokenRecord(
                id: 13, kind: .user, holder: .user(id: 1, name: "root", isAdministrator: true, roles: [:]),
                name: "admin"), administratorToken)
    }

    /// Adds a token and returns its secret.
    func token(_ id: Int64, _ kind: TokenKind, _ holder: TokenRecord.Holder) -> TokenText {
        let text = TokenText.generate(kind)
        store.add(TokenRecord(id: id, kind: kind, holder: holder, name: "token"), text)
        return text
    }

    static func caller(_ authorization: [String], address: String = "192.0.2.1") -> Caller {
        Caller(authorization: authorization, address: address, requestID: "0")
    }

    static func basic(_ secret: String, user: String = "x-token") -> [String] {
        ["Basic " + Data("\(user):\(secret)".utf8).base64EncodedString()]
    }

    /// A registry token for the organization's token, with these actions on `repository`.
    func bearer(_ actions: Set<Action>, service name: String = target.service) async throws -> [String] {
        let identity = try await service.identity(ofSecret: organizationToken.secret, of: Self.caller([]))
        let scope = Scope(organization: acme.slug, name: repository, actions: actions)
        return ["Bearer " + (try await service.issueToken(for: identity, scopes: [scope], service: name).token)]
    }

    /// What the service says to these headers for one action on `repository`.
    func outcome(
        _ authorization: [String],
        _ action: Action,
        organization: OrganizationSlug? = nil,
        repository name: RepositoryName? = nil,
        content: RequestedContent = .whole,
        from address: String = "192.0.2.1"
    ) async -> Outcome {
        do throws(AuthRefusal) {
            let admitted = try await service.admit(
                Self.caller(authorization, address: address), target: Self.target,
                organization: organization ?? acme.slug,
                repository: name ?? repository, action: action, content: content)
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
