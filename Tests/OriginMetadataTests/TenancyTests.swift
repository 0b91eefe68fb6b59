// SPDX-License-Identifier: Apache-2.0

import Foundation
import Hashing
import OCI
import OriginMetadata
import TestSupport
import Testing

@Suite("members, projects, what tokens reach, the audit log", .enabled(if: PostgresLease.isAvailable))
struct TenancyTests {
    private let lease: PostgresLease

    init() async throws { lease = try await PostgresLease() }

    private static func slug(_ text: String) throws -> OrganizationSlug { try #require(OrganizationSlug(text)) }
    private static func name(_ text: String) throws -> RepositoryName { try #require(RepositoryName(text)) }

    private func organization(_ text: String, _ database: Database) async throws -> Organization {
        let label = String((text + "aaaaaaaaaaaaaaaa").prefix(16))
        return try await database.createOrganization(slug: Self.slug(text), label: label)
    }

    private func project(_ id: String, in organization: Organization, _ database: Database) async throws -> Project {
        try await database.transaction { session throws(DatabaseError) in
            try session.createProject(name: "project \(id)", publicID: id, inOrganization: organization.id).project
        }
    }

    @Test("a user's token reaches the organizations that the user is in, by role, as long as that lasts")
    func roles() async throws {
        let database = try await lease.database()
        let (acme, other) = (try await organization("acme", database), try await organization("other", database))
        let user = try await database.createUser(name: "ann", isAdministrator: false)
        let secret = [UInt8](repeating: 1, count: 32)
        try await database.transaction { session throws(DatabaseError) in
            try session.setMembership(user: user.id, inOrganization: acme.id, role: .member)
            try session.setMembership(user: user.id, inOrganization: other.id, role: .owner)
            try session.setMembership(user: user.id, inOrganization: acme.id, role: .owner)
            _ = try session.createToken(
                NewToken(kind: .user, owner: .user(user.id), name: "t", secretSHA256: secret, expiresAt: nil))
        }
        func holder() async throws -> TokenRecord.Holder? { try await database.token(secretSHA256: secret)?.holder }
        func expected(_ roles: [Int64: Role]) -> TokenRecord.Holder {
            .user(id: user.id, name: "ann", isAdministrator: false, roles: roles)
        }
        #expect(try await holder() == expected([acme.id: .owner, other.id: .owner]))
        let wasMember = try await database.transaction { session throws(DatabaseError) in
            try session.endMembership(user: user.id, inOrganization: other.id)
        }
        #expect(wasMember)
        #expect(try await holder() == expected([acme.id: .owner]))
        let members = try await database.members(ofOrganization: acme.id, after: "", limit: 10)
        #expect(members.elements.map(\.user.name) == ["ann"])
        let isGone = try await database.transaction { session throws(DatabaseError) in
            try session.deleteUser(id: user.id)
        }
        #expect(isGone)
        #expect(try await holder() == nil)
        await database.close()
    }

    @Test("of two administrators that delete each other at once, one stays")
    func lastAdministrator() async throws {
        let database = try await lease.database()
        for round in 0..<10 {
            let ids = [
                try await database.createUser(name: "a\(round)", isAdministrator: true).id,
                try await database.createUser(name: "b\(round)", isAdministrator: true).id,
            ]
            let gone = try await withThrowingTaskGroup(of: Bool.self) { group in
                for id in ids {
                    group.addTask {
                        try await database.transaction { session throws(DatabaseError) in
                            try session.deleteUser(id: id)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(gone.contains(true))
            let left = try await database.users(after: "", limit: 100).elements.filter(\.isAdministrator)
            #expect(!left.isEmpty)
        }
        await database.close()
    }

    @Test("what is named by a project's id is linked to it; deleting a project keeps or takes its repositories")
    func projects() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let project = try await project("projectaaa", in: acme, database)
        for text in ["projectaaa", "projectaaa/cache", "projectaaab", "team/app"] {
            let made = try await database.ensureRepository(organizationID: acme.id, name: Self.name(text))
            #expect(made.projectID == (text.split(separator: "/").first == "projectaaa" ? project.id : nil), "\(text)")
        }
        let linked = try await database.repositories(
            organizationID: acme.id, projectID: project.id, after: "", limit: 10)
        #expect(linked.elements.map(\.name.text) == ["projectaaa", "projectaaa/cache"])
        let secret = [UInt8](repeating: 1, count: 32)
        _ = try await database.createToken(
            NewToken(
                kind: .project, owner: .project(project.id, organizationID: acme.id), name: "t", secretSHA256: secret,
                expiresAt: nil))
        for (withRepositories, isGone) in [(false, false), (true, true)] {
            let result = try await database.transaction { session throws(DatabaseError) in
                try session.deleteProject(id: project.id, withRepositories: withRepositories)
            }
            #expect(result == isGone)
            #expect(try await (database.token(secretSHA256: secret) == nil) == isGone)
        }
        let left = try await database.repositories(organizationID: acme.id, projectID: nil, after: "", limit: 10)
        #expect(left.elements.map(\.name.text) == ["projectaaab", "team/app"])
        await database.close()
    }

    @Test("a token of a repository goes with it; an organization goes only without repositories, or with them")
    func deletion() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let repository = try await database.ensureRepository(organizationID: acme.id, name: Self.name("team/app"))
        let secret = [UInt8](repeating: 1, count: 32)
        let pull = NewToken(
            kind: .pull, owner: .repository(repository.id, reference: "v1", organizationID: acme.id), name: "t",
            secretSHA256: secret, expiresAt: Date(timeIntervalSinceNow: 60))
        let made = try await database.createToken(pull)
        #expect(
            made.holder
                == .repository(repository.id, name: repository.name, reference: "v1", organizationID: acme.id))
        let kept = try await database.transaction { session throws(DatabaseError) in
            try !session.deleteOrganization(id: acme.id, withRepositories: false)
        }
        #expect(kept)
        try await database.transaction { session throws(DatabaseError) in
            try session.deleteRepository(id: repository.id)
        }
        #expect(try await database.token(secretSHA256: secret) == nil)
        _ = try await database.ensureRepository(organizationID: acme.id, name: Self.name("team/app"))
        let isGone = try await database.transaction { session throws(DatabaseError) in
            try session.deleteOrganization(id: acme.id, withRepositories: true)
        }
        #expect(isGone)
        #expect(try await database.organization(id: acme.id) == nil)
        await database.close()
    }

    @Test("tokens that do not fit their kind are refused by the database itself")
    func constraints() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let (kinds, soon) = ([TokenKind.project, .trust, .pull], Date(timeIntervalSinceNow: 60))
        for (index, kind) in kinds.enumerated() {
            await #expect(throws: DatabaseError.self) {
                try await database.createToken(
                    NewToken(
                        kind: kind, owner: .organization(acme.id), name: "t",
                        secretSHA256: [UInt8](repeating: UInt8(index), count: 32), expiresAt: soon))
            }
        }
        let project = try await project("projectaaa", in: acme, database)
        await #expect(throws: DatabaseError.self, "a pull token without an end") {
            try await database.createToken(
                NewToken(
                    kind: .pull, owner: .project(project.id, organizationID: acme.id), name: "t",
                    secretSHA256: [UInt8](repeating: 9, count: 32), expiresAt: nil))
        }
        await database.close()
    }

    @Test("one user or organization cannot revoke another's token, and a revocation keeps its time")
    func revocation() async throws {
        let database = try await lease.database()
        let (acme, other) = (try await organization("acme", database), try await organization("other", database))
        let token = try await database.createToken(
            NewToken(
                kind: .organization, owner: .organization(acme.id), name: "ci",
                secretSHA256: [UInt8](repeating: 1, count: 32), expiresAt: nil))
        func revoke(_ owner: TokenOwner) async throws -> TokenRecord? {
            try await database.transaction { session throws(DatabaseError) in
                try session.revokeToken(id: token.id, of: owner)
            }
        }
        #expect(try await revoke(.organization(other.id)) == nil)
        #expect(try await revoke(.user(acme.id)) == nil)
        #expect(try await database.token(id: token.id)?.revokedAt == nil)
        let revoked = try #require(try await revoke(.organization(acme.id)))
        #expect(revoked.revokedAt != nil)
        #expect(try await revoke(.organization(acme.id))?.revokedAt == revoked.revokedAt)
        await database.close()
    }

    @Test("a pull token ends with the token it was made with, and with the membership of who made it")
    func madeTokens() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let repository = try await database.ensureRepository(organizationID: acme.id, name: Self.name("team/app"))
        let ann = try await database.createUser(name: "ann", isAdministrator: false)
        let bob = try await database.createUser(name: "bob", isAdministrator: false)
        try await database.transaction { session throws(DatabaseError) in
            for user in [ann, bob] {
                try session.setMembership(user: user.id, inOrganization: acme.id, role: .member)
            }
        }
        func create(_ kind: TokenKind, _ owner: TokenOwner, _ maker: TokenMaker? = nil) async throws -> Int64 {
            try await database.createToken(
                NewToken(
                    kind: kind, owner: owner, name: "t", secretSHA256: SecureRandom.bytes(32),
                    expiresAt: kind == .pull ? Date(timeIntervalSinceNow: 60) : nil, maker: maker)
            ).id
        }
        let reached = TokenOwner.repository(repository.id, reference: nil, organizationID: acme.id)
        let machine = try await create(.organization, .organization(acme.id))
        let (annToken, bobToken) = (try await create(.user, .user(ann.id)), try await create(.user, .user(bob.id)))
        let byMachine = try await create(.pull, reached, TokenMaker(tokenID: machine, memberID: nil))
        let byAnn = try await create(.pull, reached, TokenMaker(tokenID: annToken, memberID: ann.id))
        let byBob = try await create(.pull, reached, TokenMaker(tokenID: bobToken, memberID: bob.id))
        func counts(_ id: Int64) async throws -> Bool {
            let token = try await database.token(id: id)
            return token != nil && token?.revokedAt == nil
        }
        for id in [byMachine, byAnn, byBob] { #expect(try await counts(id)) }
        #expect(try await database.token(id: byMachine)?.madeWith == machine)

        let revoked = try await database.transaction { session throws(DatabaseError) in
            try session.revokeToken(id: machine, of: .organization(acme.id))
        }
        #expect(try await database.token(id: byMachine)?.revokedAt == revoked?.revokedAt)
        try await database.transaction { session throws(DatabaseError) in
            _ = try session.endMembership(user: ann.id, inOrganization: acme.id)
            _ = try session.deleteUser(id: bob.id)
        }
        for id in [byMachine, byAnn, byBob] { #expect(try await !counts(id)) }
        #expect(try await counts(annToken), "her own token stays")

        // Who has just left, or whose token was just deleted or revoked, makes no more.
        for maker in [
            TokenMaker(tokenID: annToken, memberID: ann.id), TokenMaker(tokenID: bobToken, memberID: nil),
            TokenMaker(tokenID: machine, memberID: nil),
        ] {
            do throws(DatabaseError) {
                _ = try await database.createToken(
                    NewToken(
                        kind: .pull, owner: reached, name: "t", secretSHA256: SecureRandom.bytes(32),
                        expiresAt: Date(timeIntervalSinceNow: 60), maker: maker))
                Issue.record("\(maker) made a token")
            } catch {
                guard case .foreignKeyViolation = error.kind else { throw error }
            }
        }
        await #expect(throws: DatabaseError.self, "only pull tokens end with others") {
            _ = try await create(.organization, .organization(acme.id), TokenMaker(tokenID: machine, memberID: nil))
        }
        await database.close()
    }

    @Test("uses are written down; tokens that ended long ago are swept")
    func uses() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        var ids: [Int64] = []
        for (index, expiry) in [nil, Date(timeIntervalSinceNow: -100)].enumerated() {
            ids.append(
                try await database.createToken(
                    NewToken(
                        kind: .organization, owner: .organization(acme.id), name: "ci",
                        secretSHA256: [UInt8](repeating: UInt8(index), count: 32), expiresAt: expiry)
                ).id)
        }
        try await database.recordUse(ofTokens: [ids[0]])
        #expect(try await database.token(id: ids[0])?.lastUsedAt != nil)
        #expect(try await database.token(id: ids[1])?.lastUsedAt == nil)
        try await database.removeEndedTokens(olderThan: .seconds(200))
        #expect(try await database.token(id: ids[1]) != nil)
        try await database.removeEndedTokens(olderThan: .seconds(50))
        #expect(try await database.token(id: ids[1]) == nil)
        #expect(try await database.token(id: ids[0]) != nil)
        await database.close()
    }

    @Test("what was done is kept in order, by organization, and nobody changes or removes it")
    func audit() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let events = ["acme", "other", "acme"].enumerated().map { index, organization in
            (
                event: AuditEvent(
                    organization: organization, actor: "user ann", action: "token.create", target: "token \(index)",
                    outcome: .done, address: "192.0.2.1", requestID: "0"), count: Int64(index + 1)
            )
        }
        let instant = Date(timeIntervalSince1970: 1_700_000_000)
        try await database.appendAuditEvents(events, at: instant)
        let first = try await database.auditEvents(organizationID: nil, after: 0, limit: 2)
        #expect(first.isCut)
        #expect(first.elements.map(\.event) == events.prefix(2).map(\.event))
        #expect(first.elements.map(\.count) == [1, 2])
        #expect(first.elements.first?.at == instant)
        let rest = try await database.auditEvents(
            organizationID: acme.id, after: try #require(first.elements.first?.id), limit: 10)
        #expect(rest.elements.map(\.event.target) == ["token 2"])
        let statements: [StaticString] = [
            "UPDATE audit_events SET actor = 'nobody'", "DELETE FROM audit_events", "TRUNCATE audit_events",
        ]
        for statement in statements {
            await #expect(throws: DatabaseError.self, "\(statement)") {
                try await database.run { session throws(DatabaseError) in _ = try session.query(statement) }
            }
        }
        #expect(try await database.auditEvents(organizationID: nil, after: 0, limit: 10).elements.count == 3)
        await database.close()
    }

    @Test("an identity is exchanged once, and a trust that has ended takes its tokens along")
    func trust() async throws {
        let database = try await lease.database()
        let acme = try await organization("acme", database)
        let project = try await project("projectaaa", in: acme, database)
        let content = TrustRecord.Content(
            name: "ci", provider: "generic", issuer: "https://issuer.example", audience: "us", conditions: "{}",
            allowsForks: false)
        let made = try await database.transaction { session throws(DatabaseError) in
            try session.createTrustRelationship(content, ofProject: project)
        }
        #expect(made.content == content)
        for (issuer, wanted, count) in [
            ("https://issuer.example", nil, 1), ("https://issuer.example", "projectaaa", 1),
            ("https://issuer.example", "projectbbb", 0), ("https://other.example", nil, 0),
        ] {
            let found = try await database.trustRelationships(withIssuer: issuer, project: wanted, limit: 10)
            #expect(found.count == count)
        }
        let soon = Date(timeIntervalSinceNow: 60)
        for (tokenID, isFirst) in [("a", true), ("a", false), ("b", true)] {
            let begun = try await database.beginExchange(
                issuer: content.issuer, tokenID: tokenID, expiresAt: soon)
            #expect(begun == isFirst)
        }
        let token = try await database.createToken(
            NewToken(
                kind: .trust, owner: .project(project.id, organizationID: acme.id), name: "ci",
                secretSHA256: [UInt8](repeating: 1, count: 32), expiresAt: soon))
        let name = try await database.transaction { session throws(DatabaseError) in
            try session.deleteTrustRelationship(id: made.id, ofProject: project.id)
        }
        #expect(name == "ci")
        #expect(try await database.token(id: token.id)?.revokedAt != nil)
        await database.close()
    }
}
