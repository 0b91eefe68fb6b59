// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OCI
import OriginMetadata
import TestSupport
import Testing

@Suite("organizations, users, tokens, repositories", .enabled(if: PostgresLease.isAvailable))
struct AccountTests {
    private let lease: PostgresLease
    private let slug: OrganizationSlug
    private let label = "abcdefghij012345"

    init() async throws {
        lease = try await PostgresLease()
        slug = try #require(OrganizationSlug("acme"))
    }

    @Test("an organization is created once; its label stays")
    func organizations() async throws {
        let database = try await lease.database { $0.missingReferencesDefault = .all }
        let made = try await database.createOrganization(slug: slug, label: label)
        let again = try await database.createOrganization(slug: slug, label: "zzzzzzzzzzzzzzzz")
        #expect(made == again)
        #expect(made.label == label)
        #expect(made.missingReferences == .all)
        #expect(try await database.organization(slug: slug) == made)
        #expect(try await database.organization(id: made.id) == made)
        #expect(try await database.organization(id: made.id + 1) == nil)
        await database.close()
    }

    @Test("a token is found by its secret and by its id; making it again changes nothing")
    func tokens() async throws {
        let database = try await lease.database()
        let organization = try await database.createOrganization(slug: slug, label: label)
        let secret = [UInt8](repeating: 7, count: 32)
        let expiry = Date(timeIntervalSince1970: 2_000_000_000)
        let made = try await database.createToken(
            NewToken(
                kind: .organization, owner: .organization(organization.id), name: "ci", secretSHA256: secret,
                expiresAt: expiry))
        let again = try await database.createToken(
            NewToken(
                kind: .organization, owner: .organization(organization.id), name: "x", secretSHA256: secret,
                expiresAt: nil))
        #expect(made == again)
        #expect(made.kind == .organization && made.holder == .organization(organization.id))
        #expect(made.expiresAt == expiry && made.revokedAt == nil && made.lastUsedAt == nil)
        #expect(try await database.token(secretSHA256: secret) == made)
        #expect(try await database.token(id: made.id) == made)
        #expect(try await database.token(secretSHA256: [UInt8](repeating: 8, count: 32)) == nil)
        await database.close()
    }

    @Test("a user's token administers exactly if the user does")
    func administrators() async throws {
        let database = try await lease.database()
        for (index, isAdministrator) in [false, true].enumerated() {
            let user = try await database.createUser(name: "user-\(index)", isAdministrator: isAdministrator)
            let token = try await database.createToken(
                NewToken(
                    kind: .user, owner: .user(user.id), name: "x",
                    secretSHA256: [UInt8](repeating: UInt8(index), count: 32), expiresAt: nil))
            #expect(
                token.holder
                    == .user(id: user.id, name: user.name, isAdministrator: isAdministrator, roles: [:]))
        }
        await database.close()
    }

    @Test("bootstrap happens once, however many origins try")
    func bootstrap() async throws {
        let database = try await lease.database()
        #expect(try await !database.isBootstrapped())
        let slug = slug
        let label = label
        let done = try await withThrowingTaskGroup(of: UInt8?.self) { group in
            for origin in UInt8(0)..<6 {
                group.addTask {
                    let seed = BootstrapSeed(
                        organization: slug, organizationLabel: label,
                        organizationTokenSHA256: [UInt8](repeating: origin, count: 32), userName: "admin",
                        userTokenSHA256: [UInt8](repeating: 100 + origin, count: 32))
                    let event = AuditEvent(
                        organization: nil, actor: "origin \(origin)", action: "deployment.bootstrap", target: "",
                        outcome: .done, address: "", requestID: "")
                    return try await database.bootstrap(seed, event) ? origin : nil
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.compactMap { $0 }
        }
        #expect(done.count == 1)
        let winner = try #require(done.first)
        let events = try await database.auditEvents(organizationID: nil, after: 0, limit: 10).elements
        #expect(events.map(\.event.actor) == ["origin \(winner)"])
        #expect(try await database.isBootstrapped())
        let administrator = try await database.token(secretSHA256: [UInt8](repeating: 100 + winner, count: 32))
        guard case .user(_, "admin", true, let roles)? = administrator?.holder else {
            Issue.record("the first user is no administrator")
            return
        }
        #expect(Array(roles.values) == [.owner])
        for origin in UInt8(0)..<6 {
            let token = try await database.token(secretSHA256: [UInt8](repeating: origin, count: 32))
            #expect((token != nil) == (origin == winner))
        }
        await database.close()
    }

    @Test("first pushes at the same time make one repository")
    func repositories() async throws {
        let database = try await lease.database()
        let organization = try await database.createOrganization(slug: slug, label: label)
        let name = try #require(RepositoryName("team/app"))
        let ids = try await withThrowingTaskGroup(of: Int64.self) { group in
            for _ in 0..<12 {
                group.addTask { try await database.ensureRepository(organizationID: organization.id, name: name).id }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
        #expect(try await database.repository(organizationID: organization.id, name: name)?.id == ids.first)
        #expect(try await database.repository(organizationID: organization.id + 1, name: name) == nil)
        await database.close()
    }
}
