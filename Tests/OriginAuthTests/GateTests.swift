// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import OriginAuth
import OriginMetadata
import Synchronization
import Testing

/// Who may do what where: every kind of token at every place, in the registry and in the admin API.
@Suite("The gate")
struct GateTests {
    /// One token of each kind that there is, and what each is to organization `acme` (1).
    private struct Principals {
        let fixture: AuthFixture
        let secrets: [(name: String, secret: TokenText)]

        init() async throws {
            fixture = try await AuthFixture()
            let project = fixture.project
            let app = fixture.repository
            fixture.store.state.withLock { state in
                state.repositories = [
                    Repository(id: 41, organizationID: 1, name: app),
                    Repository(id: 42, organizationID: 1, name: repositoryName("team/linked"), projectID: project.id),
                ]
                state.reached = [Self.reached]
            }
            func user(_ id: Int64, _ roles: [Int64: Role]) -> TokenRecord.Holder {
                .user(id: id, name: "user-\(id)", isAdministrator: false, roles: roles)
            }
            let inProject = TokenRecord.Holder.project(project.id, publicID: project.publicID, organizationID: 1)
            secrets = [
                ("administrator", fixture.administratorToken),
                ("owner", fixture.token(101, .user, user(2, [1: .owner]))),
                ("member", fixture.token(102, .user, user(3, [1: .member, 2: .owner]))),
                ("outsider", fixture.token(103, .user, user(4, [2: .owner]))),
                ("organization", fixture.organizationToken),
                ("project", fixture.token(104, .project, inProject)),
                ("trust", fixture.token(105, .trust, inProject)),
                ("pull project", fixture.token(106, .pull, inProject)),
                ("pull repository", fixture.pullToken),
                (
                    "pull tag",
                    fixture.token(
                        107, .pull, .repository(41, name: app, reference: "v1", organizationID: 1))
                ),
            ]
        }

        static let reached = Digest(algorithm: .sha256, bytes: Array(repeating: 1, count: 32)) ?? emptyDigest
        static let other = Digest(algorithm: .sha256, bytes: Array(repeating: 2, count: 32)) ?? emptyDigest
        private static var emptyDigest: Digest { preconditionFailure("32 bytes are a digest") }
    }

    /// Repository and, for each principal, pull, push, delete: `+` admitted, `-` 403, `.` 404.
    private static let table: [(repository: String, String)] = [
        (
            "team/app",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project ...  trust ...
            pull project ...  pull repository +--  pull tag .--
            """
        ),
        (
            "team/linked",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project +++  trust +++
            pull project +--  pull repository ...  pull tag ...
            """
        ),
        (
            "projectaaa",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project +++  trust +++
            pull project +--  pull repository ...  pull tag ...
            """
        ),
        (
            "projectaaa/cache",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project +++  trust +++
            pull project +--  pull repository ...  pull tag ...
            """
        ),
        (
            "projectbbb",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project ...  trust ...
            pull project ...  pull repository ...  pull tag ...
            """
        ),
        (
            "projectaaab",
            """
            administrator +++  owner +++  member +++  outsider ...  organization +++  project ...  trust ...
            pull project ...  pull repository ...  pull tag ...
            """
        ),
    ]

    private static func expected(_ text: String, _ name: String) throws -> String {
        let cells = text.replacing("\n", with: "  ").split(separator: "  ").map(String.init)
        let cell = try #require(cells.first { $0.hasPrefix(name + " ") && $0.count == name.count + 4 })
        return String(cell.suffix(3))
    }

    private static func letter(_ status: Int) -> Character {
        switch status {
        case 200: "+"
        case 403: "-"
        case 404: "."
        default: "?"
        }
    }

    @Test("of the registry: every kind of token, by itself and through a registry token for all that it gets")
    func registry() async throws {
        let principals = try await Principals()
        let fixture = principals.fixture
        for (repository, cells) in Self.table {
            let name = repositoryName(repository)
            for (principal, secret) in principals.secrets {
                let expected = try Self.expected(cells, principal)
                let basic = AuthFixture.basic(secret.secret)
                let identity = try await fixture.service.identity(
                    ofSecret: secret.secret, of: AuthFixture.caller([]))
                let scope = Scope(organization: fixture.acme.slug, name: name, actions: Set(Action.allCases))
                let issued = try await fixture.service.issueToken(
                    for: identity, scopes: [scope], service: AuthFixture.target.service)
                for authorization in [basic, ["Bearer \(issued.token)"]] {
                    var found = ""
                    for action in Action.allCases {
                        let outcome = await fixture.outcome(authorization, action, repository: name)
                        found.append(Self.letter(outcome.status))
                    }
                    #expect(found == expected, "\(principal) at \(repository)")
                }
            }
        }
    }

    @Test("a token of one tag reaches it, what it refers to, and nothing else")
    func oneTag() async throws {
        let principals = try await Principals()
        let secret = try #require(principals.secrets.last?.secret)
        let basic = AuthFixture.basic(secret.secret)
        let contents: [(RequestedContent, Int)] = [
            (.manifest("v1"), 200), (.manifest("v2"), 404), (.manifest("\(Principals.reached)"), 200),
            (.manifest("\(Principals.other)"), 404), (.blob("\(Principals.reached)"), 200),
            (.blob("\(Principals.other)"), 404), (.blob("x"), 404), (.whole, 404),
        ]
        for (content, status) in contents {
            let outcome = await principals.fixture.outcome(basic, .pull, content: content)
            #expect(outcome.status == status, "\(content)")
        }
    }

    /// Right and place, and who is admitted, who is denied (403). All others: 404.
    private static let adminTable: [(AdminRight, AdminPlace, admitted: Set<String>, denied: Set<String>)] = {
        let all: Set<String> = [
            "administrator", "owner", "member", "outsider", "organization", "project", "trust", "pull project",
            "pull repository", "pull tag",
        ]
        let members: Set<String> = ["administrator", "owner", "member", "organization"]
        let acme = AdminPlace(organization: "acme")
        let here = AdminPlace(organization: "acme", project: "projectaaa")
        let there = AdminPlace(organization: "acme", project: "projectbbb")
        let inside = all.subtracting(["outsider"])
        let inProject: Set<String> = ["project", "trust", "pull project"]
        return [
            (.nothing, AdminPlace(), all, []),
            (.credential, AdminPlace(), all, []),
            (.credential, acme, inside, []),
            (.administrator, AdminPlace(), ["administrator"], all.subtracting(["administrator"])),
            (
                .user, AdminPlace(user: "user-2"), ["administrator", "owner"],
                all.subtracting(
                    ["administrator", "owner", "member", "outsider"])
            ),
            (.member, acme, members, inside.subtracting(members)),
            (.owner, acme, ["administrator", "owner"], inside.subtracting(["administrator", "owner"])),
            (.project, here, members.union(["project", "trust"]), ["pull project"]),
            (.project, there, members, []),
            (
                .owner, here, ["administrator", "owner"],
                members.union(inProject).subtracting(
                    ["administrator", "owner"])
            ),
            (.member, AdminPlace(organization: "nobody"), [], []),
            (.member, AdminPlace(organization: "No/Label"), [], []),
            (.project, AdminPlace(organization: "acme", project: "projectzzz"), [], []),
        ]
    }()

    @Test("of the admin API: every right at every kind of place; what is hidden and what is absent look the same")
    func adminAPI() async throws {
        let principals = try await Principals()
        var hidden: Set<String> = []
        for (right, place, admitted, denied) in Self.adminTable {
            for (principal, secret) in principals.secrets {
                let caller = AuthFixture.caller(["Bearer \(secret.secret)"])
                var status = 200
                do throws(AuthRefusal) {
                    _ = try await principals.fixture.service.admit(caller, to: right, at: place)
                } catch {
                    status = error.status
                    if status == 404 { hidden.insert(error.message) }
                }
                let expected = admitted.contains(principal) ? 200 : denied.contains(principal) ? 403 : 404
                #expect(status == expected, "\(principal): \(right) at \(place)")
            }
        }
        #expect(hidden.count == 1)
    }

    @Test("every right is refused without a credential, with a wrong one, and with a registry token")
    func strangers() async throws {
        let principals = try await Principals()
        let fixture = principals.fixture
        let callers = [
            AuthFixture.caller([]), AuthFixture.caller(AuthFixture.basic(TokenText.generate(.user).secret)),
            AuthFixture.caller(try await fixture.bearer(Set(Action.allCases))),
        ]
        for right in AdminRight.allCases where right != .nothing {
            for caller in callers {
                do throws(AuthRefusal) {
                    _ = try await fixture.service.admit(caller, to: right, at: AdminPlace(organization: "acme"))
                    Issue.record("\(right) was given to a stranger")
                } catch {
                    #expect(error.status == 401)
                    #expect(error.challenge != nil)
                }
            }
        }
    }
}
