// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// The admin API against the document in which it describes itself.
    @Suite("The admin API and its document", .everyProcessLives)
    struct AdminAPI {
        let system: System
        let admin: AdminClient

        init() throws {
            system = try System()
            admin = AdminClient(system)
        }

        /// For paths of things that need not exist.
        private static let absent = [
            "organization": "nobody", "project": "nothing", "user": "nobody", "member": "nobody", "token": "1",
            "trust": "1", "repository": "nothing/here",
        ]

        /// What fills the paths of operations, so that nothing is refused for its absence.
        private func present() async throws -> [String: String] {
            let tenant = try await Tenant(system)
            try await tenant.makeRepository("app")
            return [
                "organization": tenant.name, "project": tenant.project, "user": tenant.owner.name,
                "member": tenant.member.name, "token": "1", "trust": "1", "repository": "app",
            ]
        }

        // MARK: Refusals

        @Test("every operation of the document is 401 without a credential and with a wrong one")
        func credentials() async throws {
            let api = try await OpenAPI(admin)
            #expect(api.operations.count > 30)
            let guarded = api.operations.filter { $0.right != "nothing" }
            let open = api.operations.filter { $0.right == "nothing" }.map(\.name)
            #expect(open == ["POST /bootstrap"])
            let cells = guarded.flatMap { operation in
                [nil, MadeToken.unknown(), "noise"].map { (operation, $0) }
            }
            try await concurrently(cells) { [admin] operation, token in
                let answer = try await admin.asked(with: token).ask(operation.method, operation.path(Self.absent))
                api.expectProblem(answer, [401], operation.name)
                #expect(answer["www-authenticate"]?.hasPrefix("Bearer ") == true, "\(operation.name)")
            }
            // The document itself asks nothing of anybody.
            for token in [MadeToken.unknown(), system.description.token] {
                #expect(try await admin.asked(with: token).ask("GET", "openapi.json").status == 200)
            }
        }

        @Test("a query that no operation has is 400, and so is a limit that is none")
        func queries() async throws {
            let api = try await OpenAPI(admin)
            let values = try await present()
            for operation in api.operations {
                let path = operation.path(values)
                api.expectProblem(
                    try await admin.ask(operation.method, "\(path)?nothing=1"), [400, 422], operation.name)
                guard operation.queryNames.contains("limit") else { continue }
                for query in ["limit=0", "limit=1001", "limit=x", "limit=1&limit=1", "after=%21", "limit=-1"] {
                    api.expectProblem(
                        try await admin.ask(operation.method, "\(path)?\(query)"), [400], "\(operation.name) \(query)")
                }
            }
        }

        @Test("a body that its schema does not allow is 422, and one that is no JSON is 400")
        func bodies() async throws {
            let api = try await OpenAPI(admin)
            let values = try await present()
            var bodyCount = 0
            for operation in api.operations {
                guard let schema = operation.body.map(api.resolved) else { continue }
                bodyCount += 1
                let path = operation.path(values)
                for text in ["{", "\"", "{\"name\":\"a\"} x"] {
                    api.expectProblem(
                        try await admin.send(operation.method, path, Array(text.utf8)), [400], operation.name)
                }
                var wrong: [JSONValue] = [[], "text", 1, ["no_such_member": 1]]
                for property in schema["properties"]?.objectValue ?? [] {
                    let isNumber = ["integer", "number"].contains(property.value["type"]?.stringValue)
                    wrong.append(.object([JSONMember(name: property.name, value: isNumber ? "x" : 1)]))
                    if property.value["enum"] != nil {
                        wrong.append(.object([JSONMember(name: property.name, value: "no such choice")]))
                    }
                }
                if schema["required"]?.arrayValue?.isEmpty == false { wrong.append([:]) }
                for body in wrong {
                    let answer = try await admin.ask(operation.method, path, body)
                    api.expectProblem(
                        answer, [422], "\(operation.name) \(String(decoding: body.encode(), as: UTF8.self))")
                }
            }
            #expect(bodyCount > 10)
        }

        @Test("an unknown path is 404, and a method that a path has not is 405 with those that it has")
        func pathsAndMethods() async throws {
            let api = try await OpenAPI(admin)
            let member = admin.asked(with: try await Tenant(system).member.token.secret)
            for client in [admin, member] {
                for path in ["", "nothing", "organizations/", "identity/x", "openapi.json/x", "users//tokens"] {
                    api.expectProblem(try await client.ask("GET", path), [404], path)
                }
                for (path, operations) in Dictionary(grouping: api.operations, by: \.path) {
                    let methods = Set(operations.map(\.method))
                    for method in Set(["GET", "POST", "PUT", "PATCH", "DELETE"]).subtracting(methods) {
                        let answer = try await client.ask(method, operations[0].path(Self.absent))
                        api.expectProblem(answer, [405], "\(method) \(path)")
                        let allowed = (answer["allow"] ?? "").split(separator: ", ").map(String.init)
                        #expect(Set(allowed) == methods, "\(method) \(path)")
                    }
                }
            }
        }

        // MARK: A round trip

        /// Calls an operation and holds the answer against its schema.
        private struct Checked {
            let api: OpenAPI
            let client: AdminClient
            let values: [String: String]

            @discardableResult
            func callAsFunction(
                _ id: String, _ body: JSONValue? = nil, path more: [String: String] = [:], query: String = "",
                status: Int? = nil, sourceLocation: SourceLocation = #_sourceLocation
            ) async throws -> JSONValue {
                let operation = try api.operation(id)
                let path = operation.path(values.merging(more) { $1 })
                let answer = try await client.ask(operation.method, path + query, body)
                let schema = operation.answers[answer.status]
                #expect(
                    schema != nil, "\(id): \(answer.status) is not documented: \(answer.text)",
                    sourceLocation: sourceLocation)
                if let status { #expect(answer.status == status, "\(id)", sourceLocation: sourceLocation) }
                guard case .some(.some(let schema)) = schema else {
                    #expect(answer.body.isEmpty, "\(id) answers nothing", sourceLocation: sourceLocation)
                    return [:]
                }
                #expect(answer["content-type"] == "application/json", "\(id)", sourceLocation: sourceLocation)
                #expect(answer["cache-control"] == "no-store", "\(id)", sourceLocation: sourceLocation)
                let document = try #require(answer.json, sourceLocation: sourceLocation)
                #expect(api.violations(document, of: schema) == [], "\(id)", sourceLocation: sourceLocation)
                return document
            }

            /// Every item of a list comes once, with pages of one as in one page.
            func expectPages(_ id: String, count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws {
                let whole = try await self(id, query: "?limit=1000")["items"]?.arrayValue ?? []
                let single = try await client.items(try api.operation(id).path(values), limit: 1)
                #expect(single == whole, "\(id)", sourceLocation: sourceLocation)
                #expect(whole.count == count, "\(id)", sourceLocation: sourceLocation)
            }
        }

        @Test("what is made, listed, changed and deleted is as the document says; what is made again is not made twice")
        func roundTrip() async throws {
            let api = try await OpenAPI(admin)
            let (organization, user) = (freshName("trip"), freshName("user"))
            let first = Checked(
                api: api, client: admin, values: ["organization": organization, "user": user, "member": user])
            for status in [201, 200] {
                try await first("organization.create", ["name": .string(organization)], status: status)
                try await first("user.create", ["name": .string(user)], status: status)
                try await first("member.set", ["role": "member"], status: 200)
            }
            var projects: [JSONValue] = []
            for status in [201, 200] {
                projects.append(try await first("project.create", ["name": "one"], status: status))
            }
            #expect(projects[0] == projects[1])
            try await first("project.create", ["name": "two"], status: 201)
            let project = try #require(projects[0]["id"]?.stringValue)
            let call = Checked(
                api: api, client: admin, values: first.values.merging(["project": project]) { $1 })

            try await makeAndList(call, project: project)
            try await tokens(call)
            try await trust(call)
            try await end(call)
        }

        private func makeAndList(_ call: Checked, project: String) async throws {
            for status in [201, 200] {
                let made = try await call(
                    "repository.create", ["name": "team/app", "project": .string(project)], status: status)
                #expect(made["project"] == .string(project))
            }
            try await call("repository.create", ["name": "other"], status: 201)
            let repository = ["repository": "team/app"]
            #expect(try await call("repository.link", ["project": .null], path: repository)["project"] == nil)
            let linked = try await call("repository.link", ["project": .string(project)], path: repository)
            #expect(try await call("repository.get", path: repository) == linked)
            for (id, count) in [("repository.list", 2), ("project.list", 2), ("member.list", 1)] {
                try await call.expectPages(id, count: count)
            }
            let inProject = try await call("repository.list", query: "?in_project=\(project)")
            #expect(inProject["items"] == [linked])
            for id in ["organization.get", "project.get", "user.get", "identity.get", "edge.list"] {
                try await call(id, status: 200)
            }
            #expect(try await call("member.set", ["role": "owner"])["role"] == "owner")
            let changed = try await call("organization.update", ["missing_references": "children"])
            #expect(try await call("organization.get") == changed)
            for id in ["organization.list", "user.list", "audit.list", "organization.audit.list"] {
                #expect(try await call(id, query: "?limit=2")["items"]?.arrayValue?.count == 2, "\(id)")
            }
        }

        private func tokens(_ call: Checked) async throws {
            let named = ["user.token.create", "token.create", "project.token.create"]
            var made: [(create: String, token: JSONValue)] = []
            for id in named {
                made.append((id, try await call(id, ["name": "ci", "ttl_seconds": 600], status: 201)))
                let operation = try call.api.operation(id)
                let again = try await call.client.ask("POST", operation.path(call.values), ["name": "ci"])
                call.api.expectProblem(again, [409], "\(id), again")
            }
            made.append(("project.pull-token.create", try await call("project.pull-token.create", [:], status: 201)))
            for body: JSONValue in [["repository": "team/app"], ["repository": "team/app", "reference": "v1"]] {
                made.append(("pull-token.create", try await call("pull-token.create", body, status: 201)))
            }
            for (create, token) in made {
                let secret = try #require(token["token"]?.stringValue)
                let own = Checked(api: call.api, client: call.client.asked(with: secret), values: call.values)
                #expect(try await own("identity.get")["token_id"] == token["id"], "\(create)")
            }
            // One of the user and five of the organization: nothing was made twice.
            try await call.expectPages("user.token.list", count: 1)
            try await call.expectPages("token.list", count: 5)
            for (create, token) in made {
                let id = ["token": String(try #require(token["id"]?.integerValue))]
                let revoke = create == "user.token.create" ? "user.token.revoke" : "token.revoke"
                try await call(revoke, path: id, status: 204)
                let secret = try #require(token["token"]?.stringValue)
                #expect(try await call.client.asked(with: secret).ask("GET", "identity").status == 401, "\(create)")
            }
            let revoked = try await call("token.list")["items"]?.arrayValue ?? []
            #expect(revoked.allSatisfy { $0["revoked_at"] != nil })
            // The name is free again.
            try await call("token.create", ["name": "ci"], status: 201)
        }

        private func trust(_ call: Checked) async throws {
            let rule: JSONValue = [
                "name": "deploy", "provider": "generic", "issuer": "https://ci.example", "audience": "depot",
                "conditions": ["sub": ["job-1", "job-2-*"]],
            ]
            let made = try await call("trust.create", rule, status: 201)
            for member in rule.objectValue ?? [] { #expect(made[member.name] == member.value) }
            let path = try call.api.operation("trust.create").path(call.values)
            call.api.expectProblem(try await call.client.ask("POST", path, rule), [409], "trust.create, again")
            try await call.expectPages("trust.list", count: 1)
            let id = ["trust": String(try #require(made["id"]?.integerValue))]
            try await call("trust.delete", path: id, status: 204)
            call.api.expectProblem(
                try await call.client.ask(
                    "DELETE", try call.api.operation("trust.delete").path(call.values.merging(id) { $1 })),
                [404], "trust.delete, again")
        }

        private func end(_ call: Checked) async throws {
            for id in ["project.delete", "organization.delete"] {
                let operation = try call.api.operation(id)
                let refused = try await call.client.ask("DELETE", operation.path(call.values))
                call.api.expectProblem(refused, [409], "\(id) while there are repositories")
            }
            try await call("repository.delete", path: ["repository": "other"], status: 204)
            try await call("project.delete", query: "?repositories=true", status: 204)
            try await call.expectPages("repository.list", count: 0)
            try await call("member.delete", status: 204)
            try await call("user.delete", status: 204)
            try await call("organization.delete", status: 204)
            for id in ["organization.get", "user.get"] {
                let operation = try call.api.operation(id)
                let gone = try await call.client.ask("GET", operation.path(call.values))
                call.api.expectProblem(gone, [404], id)
            }
        }

        @Test("an edge that is made shows its credential once; the same name again is 409")
        func edge() async throws {
            let call = Checked(api: try await OpenAPI(admin), client: admin, values: [:])
            let name = freshName("edge")
            let edge: JSONValue = [
                "name": .string(name), "region": "eu-9", "url": "http://127.0.9.9:9",
                "location": ["latitude": .number("1.5"), "longitude": .number("-2")],
            ]
            let made = try await call("edge.create", edge, status: 201)
            #expect(made["credential"]?.stringValue?.hasPrefix("depot-edge.") == true)
            call.api.expectProblem(try await admin.ask("POST", "edges", edge), [409], "edge.create, again")
            let listed = try await call("edge.list")["edges"]?.arrayValue ?? []
            #expect(listed.count { $0["name"] == .string(name) && $0["credential"] == nil } == 1)
        }
    }
}
