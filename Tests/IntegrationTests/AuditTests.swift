// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Who did what, and who was kept from doing it.
    @Suite("The audit log", .everyProcessLives)
    struct Audit {
        let system: System
        let admin: AdminClient

        init() throws {
            system = try System()
            admin = AdminClient(system)
        }

        /// An event that has to be there.
        private struct Expected {
            let actor: String
            let action: String
            let target: String
            let outcome: String
            let requestID: String
        }

        private func expect(
            _ events: [Expected], in list: String, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            var log: [JSONValue] = []
            // Denials, pushes and deletes are written within a second or so, together.
            try? await waitUntil("the log has every event", within: .seconds(10)) {
                log = try await admin.items(list)
                return events.allSatisfy { event in log.contains { $0["request_id"] == .string(event.requestID) } }
            }
            for event in events {
                let found = log.filter { $0["request_id"] == .string(event.requestID) }
                #expect(found.count == 1, "\(event.action) of \(event.target)", sourceLocation: sourceLocation)
                guard let found = found.first else { continue }
                #expect(found["action"] == .string(event.action), sourceLocation: sourceLocation)
                #expect(found["target"] == .string(event.target), "\(event.action)", sourceLocation: sourceLocation)
                #expect(found["outcome"] == .string(event.outcome), "\(event.action)", sourceLocation: sourceLocation)
                let actor = found["actor"]?.stringValue ?? ""
                #expect(actor.hasPrefix(event.actor), "\(event.action) by \(actor)", sourceLocation: sourceLocation)
                #expect(found["address"] == "127.0.0.1", "\(event.action)", sourceLocation: sourceLocation)
            }
        }

        /// Makes changes by one caller and remembers what the log has to say.
        private final class Recorder {
            let client: AdminClient
            let actor: String
            private(set) var expected: [Expected] = []

            init(_ client: AdminClient, actor: String) {
                self.client = client
                self.actor = actor
            }

            /// - Parameter target: Of the event; in terms of the answer, where that has it.
            @discardableResult
            func callAsFunction(
                _ method: String, _ path: String, _ body: JSONValue? = nil, is action: String,
                of target: (JSONValue) -> String, outcome: String = "done"
            ) async throws -> JSONValue {
                let answer = try await client.ask(method, path, body)
                #expect((outcome == "done") == (200..<300).contains(answer.status), "\(method) \(path): \(answer.text)")
                let document = answer.json ?? [:]
                expected.append(
                    Expected(
                        actor: actor, action: action, target: target(document), outcome: outcome,
                        requestID: try #require(answer["x-request-id"], "answers name their request")))
                return document
            }
        }

        @Test("each kind of change is in the log with actor, target, address and the answer's request id")
        func changes() async throws {
            let tenant = try await Tenant(system)
            let root = tenant.path
            let owner = Recorder(
                admin.asked(with: tenant.owner.token.secret),
                actor: "user \(tenant.owner.name) (token \(tenant.owner.token.id))")
            func token(_ made: JSONValue) -> String { "token \(made["id"]?.integerValue ?? 0)" }

            try await owner("PATCH", root, ["missing_references": "all"], is: "organization.update") { _ in tenant.name
            }
            try await owner(
                "PUT", "\(root)/members/\(tenant.member.name)", ["role": "owner"], is: "member.set"
            ) { _ in tenant.member.name }
            try await owner("DELETE", "\(root)/members/\(tenant.member.name)", is: "member.delete") { _ in
                tenant.member.name
            }
            let project = try await owner("POST", "\(root)/projects", ["name": "new"], is: "project.create") {
                $0["id"]?.stringValue ?? ""
            }
            let projectID = try #require(project["id"]?.stringValue)
            let projectPath = "\(root)/projects/\(projectID)"
            try await owner("POST", "\(root)/repositories", ["name": "new"], is: "repository.create") { _ in "new" }
            try await owner(
                "PATCH", "\(root)/repositories/new", ["project": .string(projectID)], is: "repository.link"
            ) { _ in "new" }
            let machine = try await owner("POST", "\(root)/tokens", ["name": "new"], is: "token.create", of: token)
            for (path, body, action) in [
                ("\(projectPath)/tokens", ["name": "ci"], "project.token.create"),
                ("\(projectPath)/pull-tokens", [:], "project.pull-token.create"),
                ("\(root)/pull-tokens", ["repository": "new"], "pull-token.create"),
            ] as [(String, JSONValue, String)] {
                try await owner("POST", path, body, is: action, of: token)
            }
            let id = try #require(machine["id"]?.integerValue)
            try await owner("DELETE", "\(root)/tokens/\(id)", is: "token.revoke") { _ in "token \(id)" }
            let rule: JSONValue = [
                "name": "deploy", "provider": "generic", "issuer": "https://ci.example", "audience": "depot",
                "conditions": ["sub": ["job"]],
            ]
            let trust = try await owner("POST", "\(projectPath)/trust", rule, is: "trust.create") { _ in "deploy" }
            let trustID = try #require(trust["id"]?.integerValue)
            try await owner("DELETE", "\(projectPath)/trust/\(trustID)", is: "trust.delete") { _ in "deploy" }
            try await owner("DELETE", "\(root)/repositories/new", is: "repository.delete") { _ in "new" }
            try await owner("DELETE", projectPath, is: "project.delete") { _ in projectID }
            try await expect(owner.expected, in: "\(root)/audit")

            try await owner("DELETE", root, is: "organization.delete") { _ in tenant.name }
            try await expect([try #require(owner.expected.last)], in: "audit")
        }

        @Test("changes of the deployment are in its log")
        func deployment() async throws {
            let root = Recorder(admin, actor: "user ")
            let (organization, user) = (freshName("org"), freshName("user"))
            try await root(
                "POST", "organizations", ["name": .string(organization)], is: "organization.create"
            ) { _ in organization }
            try await root("POST", "users", ["name": .string(user)], is: "user.create") { _ in user }
            let token = try await root("POST", "users/\(user)/tokens", ["name": "a"], is: "user.token.create") {
                "token \($0["id"]?.integerValue ?? 0)"
            }
            let id = try #require(token["id"]?.integerValue)
            try await root("DELETE", "users/\(user)/tokens/\(id)", is: "user.token.revoke") { _ in "token \(id)" }
            try await root("DELETE", "users/\(user)", is: "user.delete") { _ in user }
            let name = freshName("edge")
            try await root(
                "POST", "edges", ["name": .string(name), "region": "eu-9", "url": "http://127.0.9.7:9"],
                is: "edge.create"
            ) { _ in name }
            try await expect(root.expected, in: "audit")
        }

        @Test("what is made again is not in the log a second time")
        func repeated() async throws {
            let tenant = try await Tenant(system)
            for _ in 0..<2 { try await tenant.makeRepository("once") }
            for _ in 0..<2 { try await admin.done("POST", "\(tenant.path)/projects", ["name": "once"]) }
            let log = try await admin.items("\(tenant.path)/audit")
            #expect(log.count { $0["action"] == "repository.create" } == 1)
            #expect(log.count { $0["action"] == "project.create" } == 3, "one, and the two of the tenant")
        }

        @Test("pushes, deletes and denials in the registry are in the log")
        func registry() async throws {
            let tenant = try await Tenant(system)
            let repository = tenant.repository("app")
            let image = try await repository.pushedImage(as: "v1")
            let actor = "organization token \(tenant.organizationToken.id)"
            let pull = try await tenant.pullToken(of: "app")
            let (config, digest) = (image.config, image.manifest.digest)
            var expected: [Expected] = []
            func record(
                _ repository: Repository, _ method: String, _ path: String, _ actor: String, _ action: String,
                _ target: String, _ outcome: String, _ status: Int, body: [UInt8] = []
            ) async throws {
                let type = body.isEmpty ? [] : [(name: "Content-Type", value: image.manifest.mediaType)]
                let answer = try await repository.ask(method, path, headers: type, body: body)
                #expect(answer.status == status, "\(method) \(path): \(answer.text)")
                expected.append(
                    Expected(
                        actor: actor, action: action, target: target, outcome: outcome,
                        requestID: try #require(answer["x-request-id"])))
            }
            let manifest = image.manifest.bytes
            try await record(
                repository, "PUT", "manifests/v2", actor, "manifest.push", "app:v2", "done", 201, body: manifest)
            let reader = repository.asked(withToken: pull.secret)
            try await record(
                reader, "DELETE", "manifests/v2", "pull token \(pull.id)", "manifest.delete", "app:v2", "denied", 403)
            let stranger = repository.asked(withToken: tenant.otherProjectToken.secret)
            try await record(
                stranger, "GET", "manifests/v2", "project token \(tenant.otherProjectToken.id)", "manifest.pull",
                "app:v2", "denied", 404)
            let nobody = repository.asked(withToken: MadeToken.unknown())
            try await record(nobody, "GET", "tags/list", "anonymous", "tag.list", "app", "denied", 401)
            try await record(repository, "DELETE", "manifests/v2", actor, "manifest.delete", "app:v2", "done", 202)
            try await record(
                repository, "DELETE", "manifests/\(digest)", actor, "manifest.delete", "app@\(digest)", "done", 202)
            try await record(
                repository, "DELETE", "blobs/\(config.digest)", actor, "blob.delete", "app@\(config.digest)", "done",
                202)
            try await expect(expected, in: "\(tenant.path)/audit")
        }

        @Test("denials of the admin API are in the log; who has no credential yet is not")
        func denials() async throws {
            let tenant = try await Tenant(system)
            let path = "\(tenant.path)/tokens"
            let member = Recorder(
                admin.asked(with: tenant.member.token.secret), actor: "user \(tenant.member.name)")
            try await member("GET", path, is: "token.list", of: { _ in "/api/v1/\(path)" }, outcome: "denied")
            let machine = Recorder(
                admin.asked(with: tenant.organizationToken.secret),
                actor: "organization token \(tenant.organizationToken.id)")
            try await machine(
                "POST", path, ["name": "more"], is: "token.create", of: { _ in "/api/v1/\(path)" }, outcome: "denied")
            let unknown = Recorder(admin.asked(with: MadeToken.unknown()), actor: "anonymous")
            try await unknown(
                "GET", tenant.path, is: "organization.get", of: { _ in "/api/v1/\(tenant.path)" }, outcome: "denied")
            let nobody = try await admin.asked(with: nil).ask("GET", path)
            #expect(nobody.status == 401)
            try await expect(member.expected + machine.expected + unknown.expected, in: "\(tenant.path)/audit")
            let log = try await admin.items("\(tenant.path)/audit")
            #expect(!log.contains { $0["request_id"] == nobody["x-request-id"].map { .string($0) } })
        }

        @Test("the export has one event a line, the same ones as the list, and goes on behind any of them")
        func export() async throws {
            let tenant = try await Tenant(system)
            let list = try await admin.items("\(tenant.path)/audit", limit: 3)
            let answer = try await admin.send("GET", "\(tenant.path)/audit?format=ndjson")
            #expect(answer.status == 200)
            #expect(answer["content-type"] == "application/x-ndjson")
            let lines = answer.text.split(separator: "\n").map(String.init)
            let events = try lines.map {
                try BoundedJSON.parse(Array($0.utf8), limits: JSONLimits(bytesMax: 1 << 20))
            }
            #expect(events == list)
            let api = try await OpenAPI(admin)
            let schema = try #require(try api.operation("organization.audit.list").line)
            #expect(events.flatMap { api.violations($0, of: schema) } == [])
            #expect(answer.text.last == "\n")
            let ids = events.compactMap { $0["id"]?.integerValue }
            #expect(ids == ids.sorted() && Set(ids).count == events.count && ids.count > 5)
            let page = try await admin.done("GET", "\(tenant.path)/audit?limit=2")
            let next = try #require(page["next"]?.stringValue)
            let rest = try await admin.send("GET", "\(tenant.path)/audit?format=ndjson&after=\(next)")
            let restLines = rest.text.split(separator: "\n").map(String.init)
            #expect(restLines == Array(lines[2...]))
            #expect(try await admin.ask("GET", "audit?format=xml").status == 400)
        }

        @Test("an organization does not show the log of an earlier one of its name")
        func sameName() async throws {
            let tenant = try await Tenant(system)
            try await admin.done("DELETE", tenant.path)
            try await admin.done("POST", "organizations", ["name": .string(tenant.name)])
            try await admin.done("PUT", "\(tenant.path)/members/\(tenant.member.name)", ["role": "owner"])
            let log = try await admin.asked(with: tenant.member.token.secret).items("\(tenant.path)/audit")
            #expect(log.contains { $0["action"] == "member.set" && $0["target"] == .string(tenant.member.name) })
            #expect(!log.contains { $0["action"] == "project.create" })
        }

        @Test("an owner reads the log of the own organization and of no other, and a member reads none")
        func visibility() async throws {
            let (tenant, other) = (try await Tenant(system), try await Tenant(system))
            let owner = admin.asked(with: tenant.owner.token.secret)
            for format in ["", "&format=ndjson"] {
                let answer = try await owner.ask("GET", "\(tenant.path)/audit?limit=1000\(format)")
                #expect(answer.status == 200)
                #expect(answer.text.contains(tenant.name))
                #expect(!answer.text.contains(other.name))
                #expect(try await owner.ask("GET", "audit?limit=1\(format)").status == 403)
                #expect(try await owner.ask("GET", "\(other.path)/audit?limit=1\(format)").status == 404)
            }
            let events = try await owner.items("\(tenant.path)/audit")
            #expect(events.allSatisfy { $0["organization"] == .string(tenant.name) })
            for token in [tenant.member.token, tenant.organizationToken, tenant.projectToken] {
                #expect(try await admin.asked(with: token.secret).ask("GET", "\(tenant.path)/audit").status == 403)
            }
        }
    }
}
