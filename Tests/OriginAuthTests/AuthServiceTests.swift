// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import OriginAuth
import OriginMetadata
import Synchronization
import Testing

@Suite("Authentication and the gate")
struct AuthServiceTests {
    static let scope = "scope=\"repository:acme/team/app:pull\""

    @Test("without a credential the answer is a challenge, whether or not anything exists")
    func anonymous() async throws {
        let fixture = try await AuthFixture()
        let base = "Bearer realm=\"http://localhost:5000/token\",service=\"localhost:5000\""
        #expect(await fixture.outcome([], .pull).challenge == "\(base),\(Self.scope)")
        #expect(await fixture.outcome([], .push).challenge == "\(base),scope=\"repository:acme/team/app:pull,push\"")
        let absent = await fixture.outcome([], .pull, organization: slug("nobody"))
        #expect(absent.challenge == "\(base),scope=\"repository:nobody/team/app:pull\"")
        #expect(absent.status == 401)
        await #expect(throws: AuthRefusal.self) {
            try await fixture.service.authenticate(AuthFixture.caller([]), target: AuthFixture.target)
        }
        #expect(fixture.store.queryCount == 0)
    }

    @Test(
        "headers that are no credential get a challenge and ask nobody",
        arguments: [
            "", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic eA==", "Basic eC10b2tlbjoAeA==", "Digest x",
            "Basic //8=", "Bearer x",
        ])
    func malformed(header: String) async throws {
        let fixture = try await AuthFixture()
        let outcome = await fixture.outcome([header], .pull)
        #expect(outcome.status == 401)
        #expect(outcome.challenge?.contains(Self.scope) == true)
        #expect(fixture.store.queryCount == 0)
    }

    @Test("two Authorization headers are refused as malformed")
    func two() async throws {
        let fixture = try await AuthFixture()
        let basic = AuthFixture.basic(fixture.organizationToken.secret)[0]
        #expect(await fixture.outcome([basic, basic], .pull).status == 400)
    }

    @Test("the token itself is admitted by Basic under any user name, and as bearer")
    func secret() async throws {
        let fixture = try await AuthFixture()
        let secret = fixture.organizationToken.secret
        #expect(await fixture.outcome(AuthFixture.basic(secret), .push) == .admitted(1))
        #expect(await fixture.outcome(AuthFixture.basic(secret, user: "somebody"), .push) == .admitted(1))
        #expect(await fixture.outcome(["bearer \(secret)"], .delete) == .admitted(1))
    }

    @Test("unknown and damaged tokens are refused alike; a damaged one without asking the database")
    func unknown() async throws {
        let fixture = try await AuthFixture()
        let unknown = await fixture.outcome(AuthFixture.basic(TokenText.generate(.organization).secret), .pull)
        let queryCount = fixture.store.queryCount
        let damaged = await fixture.outcome(
            AuthFixture.basic(String(fixture.organizationToken.secret.dropLast()) + "!"), .pull)
        #expect(unknown == damaged)
        #expect(unknown.status == 401)
        #expect(fixture.store.queryCount == queryCount)
    }

    @Test("who may do what: the whole table")
    func gate() async throws {
        let fixture = try await AuthFixture()
        let principals: [(String, [String], [Int], [Int])] = [
            // Statuses for pull, push, delete in the own organization, then in another.
            ("organization", AuthFixture.basic(fixture.organizationToken.secret), [200, 200, 200], [404, 404, 404]),
            ("pull", AuthFixture.basic(fixture.pullToken.secret), [200, 403, 403], [404, 404, 404]),
            ("administrator", AuthFixture.basic(fixture.administratorToken.secret), [200, 200, 200], [200, 200, 200]),
            ("jwt pull", try await fixture.bearer([.pull]), [200, 401, 401], [404, 404, 404]),
            ("jwt pull,push", try await fixture.bearer([.pull, .push]), [200, 200, 401], [404, 404, 404]),
            ("jwt nothing", try await fixture.bearer([]), [401, 401, 401], [404, 404, 404]),
            ("nobody", [], [401, 401, 401], [401, 401, 401]),
        ]
        for (name, authorization, own, foreign) in principals {
            for (index, action) in [Action.pull, .push, .delete].enumerated() {
                #expect(await fixture.outcome(authorization, action).status == own[index], "\(name) \(action)")
                let other = await fixture.outcome(authorization, action, organization: fixture.other.slug)
                #expect(other.status == foreign[index], "\(name) \(action) elsewhere")
                if foreign[index] == 404 {
                    let absent = await fixture.outcome(authorization, action, organization: slug("nobody"))
                    #expect(absent == other, "\(name): forbidden and absent look the same")
                }
            }
        }
    }

    @Test("a missing scope names what is needed; a missing right gives a reason")
    func reasons() async throws {
        let fixture = try await AuthFixture()
        let insufficient = await fixture.outcome(try await fixture.bearer([.pull]), .push)
        #expect(
            insufficient.challenge?.hasSuffix(
                "scope=\"repository:acme/team/app:pull,push\",error=\"insufficient_scope\"") == true)
        let denied = await fixture.outcome(AuthFixture.basic(fixture.pullToken.secret), .push)
        #expect(denied == .refused(403, "pull token is read only", nil))
    }

    @Test("issuing leaves out what the identity has no right to")
    func intersection() async throws {
        let fixture = try await AuthFixture()
        let identity = try await fixture.service.identity(
            ofSecret: fixture.pullToken.secret, of: AuthFixture.caller([]))
        let all = Set(Action.allCases)
        let asked = [
            Scope(organization: fixture.acme.slug, name: fixture.repository, actions: all),
            Scope(organization: fixture.other.slug, name: fixture.repository, actions: all),
            Scope(organization: slug("nobody"), name: fixture.repository, actions: all),
        ]
        let issued = try await fixture.service.issueToken(for: identity, scopes: asked, service: "localhost:5000")
        let verified = try #require(await fixture.tokens.verify(issued.token))
        #expect(verified.scopes == [Scope(organization: fixture.acme.slug, name: fixture.repository, actions: [.pull])])
        #expect(issued.expiresInSeconds <= 900)
    }

    @Test("warm requests ask nobody, by token and by registry token")
    func warm() async throws {
        let fixture = try await AuthFixture()
        let basic = AuthFixture.basic(fixture.organizationToken.secret)
        let bearer = try await fixture.bearer([.pull])
        _ = await fixture.outcome(basic, .pull)
        _ = await fixture.outcome(bearer, .pull)
        let queryCount = fixture.store.queryCount
        for _ in 0..<100 {
            #expect(await fixture.outcome(basic, .pull).status == 200)
            #expect(await fixture.outcome(bearer, .pull).status == 200)
        }
        #expect(fixture.store.queryCount == queryCount)
        fixture.clock.advance(.seconds(100))
        fixture.service.synced(at: fixture.clock.instant)
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        #expect(fixture.store.queryCount == queryCount)
    }

    @Test("revocation reaches registry tokens issued before: at once by a change, in two seconds without")
    func revocation() async throws {
        let fixture = try await AuthFixture()
        let bearer = try await fixture.bearer([.pull])
        let basic = AuthFixture.basic(fixture.organizationToken.secret)
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        let old = fixture.organizationRecord
        fixture.store.replace(
            old,
            by: TokenRecord(id: old.id, kind: old.kind, holder: old.holder, name: old.name, revokedAt: Date()))
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        fixture.clock.advance(.seconds(3))
        #expect(await fixture.outcome(bearer, .pull).status == 401)
        fixture.service.invalidate()
        guard case .refused(401, let message, _) = await fixture.outcome(basic, .pull) else {
            Issue.record("a revoked token was admitted")
            return
        }
        #expect(message == "the token was revoked")
    }

    @Test("after a rotation the old key's tokens count, and after another one no more, verified before or not")
    func rotation() async throws {
        let fixture = try await AuthFixture()
        let bearer = try await fixture.bearer([.pull])
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        let next = RegistryTokens.Key.generate()
        fixture.service.replace(try await RegistryTokens(current: next, others: [fixture.key]))
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        #expect(await fixture.outcome(try await fixture.bearer([.pull]), .pull).status == 200)
        fixture.service.replace(try await RegistryTokens(current: next))
        #expect(await fixture.outcome(bearer, .pull).status == 401)
    }

    @Test("an expired token is refused with the time of its end")
    func expiry() async throws {
        let fixture = try await AuthFixture()
        let old = fixture.organizationRecord
        fixture.store.replace(
            old,
            by: TokenRecord(
                id: old.id, kind: old.kind, holder: old.holder, name: old.name,
                expiresAt: Date(timeIntervalSince1970: 1_800_000_010)))
        let basic = AuthFixture.basic(fixture.organizationToken.secret)
        #expect(await fixture.outcome(basic, .pull).status == 200)
        fixture.clock.advance(.seconds(10))
        guard case .refused(401, let message, _) = await fixture.outcome(basic, .pull) else {
            Issue.record("an expired token was admitted")
            return
        }
        #expect(message == "the token expired at 2027-01-15T08:00:10Z")
    }

    @Test("with the database away, what was known serves for a minute, then 503")
    func away() async throws {
        let fixture = try await AuthFixture()
        let bearer = try await fixture.bearer([.pull])
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        fixture.store.state.withLock { $0.isAway = true }
        fixture.clock.advance(.seconds(30))
        #expect(await fixture.outcome(bearer, .pull).status == 200)
        #expect(await fixture.outcome(AuthFixture.basic(fixture.pullToken.secret), .pull).status == 503)
        fixture.clock.advance(.seconds(31))
        #expect(await fixture.outcome(bearer, .pull).status == 503)
    }

    @Test("token texts say their kind and carry a checksum")
    func texts() {
        for kind in TokenKind.allCases {
            let text = TokenText.generate(kind)
            #expect(TokenText(text.secret)?.kind == kind)
            #expect(text.secret.utf8.count == 53)
            var bytes = Array(text.secret.utf8)
            for index in bytes.indices {
                let byte = bytes[index]
                bytes[index] = byte == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
                #expect(TokenText(String(decoding: bytes, as: UTF8.self)) == nil)
                bytes[index] = byte
            }
        }
    }

    @Test("bootstrap credentials are read back as they were written")
    func bootstrapFile() throws {
        let credentials = BootstrapCredentials.generate()
        let back = try #require(BootstrapCredentials(json: credentials.json))
        #expect(back.organization.text == "demo")
        #expect(back.token.secret == credentials.token.secret)
        #expect(back.administratorToken.secret == credentials.administratorToken.secret)
        #expect(BootstrapCredentials(json: Array("{}".utf8)) == nil)
    }
}
