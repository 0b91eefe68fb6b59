// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Texts that no database column can hold, and calls that come at once.
    @Suite("Edge cases of the admin API", .everyProcessLives)
    struct AdminEdgeCases {
        let system: System
        let admin: AdminClient

        init() throws {
            system = try System()
            admin = AdminClient(system)
        }

        @Test("a text with NUL is refused, wherever it stands")
        func nul() async throws {
            let api = try await OpenAPI(admin)
            let tenant = try await Tenant(system)
            try await tenant.makeRepository("app")
            for operation in api.operations {
                let path = operation.path(Self.values(of: tenant))
                // `AA` is NUL in base64url.
                if operation.queryNames.contains("after") {
                    let answer = try await admin.ask(operation.method, "\(path)?after=AA")
                    api.expectProblem(answer, [400, 422], "\(operation.name) after NUL")
                }
                if operation.queryNames.contains("in_project") {
                    let answer = try await admin.ask(operation.method, "\(path)?in_project=a%00b")
                    api.expectProblem(answer, [400, 422], "\(operation.name) in_project")
                }
                guard let schema = operation.body.map(api.resolved) else { continue }
                for property in schema["properties"]?.objectValue ?? [] where property.value["type"] == "string" {
                    let answer = try await admin.ask(
                        operation.method, path, Self.body(of: schema, with: property.name, "a\u{0}b"))
                    // As no JSON that is read here, or as no value of the member.
                    api.expectProblem(answer, [400, 422], "\(operation.name) \(property.name)")
                }
            }
            let rule: JSONValue = [
                "name": "deploy", "provider": "generic", "issuer": "https://ci.example", "audience": "depot",
                "conditions": ["sub": ["a\u{0}b"]],
            ]
            let answer = try await admin.ask("POST", "\(tenant.projectPath)/trust", rule)
            api.expectProblem(answer, [400, 422], "a condition")
        }

        @Test("a parameter that is given twice is refused, and a number out of the documented range")
        func parameters() async throws {
            let api = try await OpenAPI(admin)
            let tenant = try await Tenant(system)
            var rangeCount = 0
            for operation in api.operations {
                let path = operation.path(Self.values(of: tenant))
                for name in operation.queryNames {
                    let answer = try await admin.ask(operation.method, "\(path)?\(name)=1&\(name)=1")
                    api.expectProblem(answer, [400], "\(operation.name) \(name) twice")
                    #expect(answer.text.contains("more than once"), "\(answer.text)")
                }
                guard let schema = operation.body.map(api.resolved) else { continue }
                for property in schema["properties"]?.objectValue ?? [] {
                    guard let least = property.value["minimum"]?.integerValue,
                        let most = property.value["maximum"]?.integerValue
                    else { continue }
                    rangeCount += 1
                    for number in [.min, least - 1, most + 1, .max] {
                        let answer = try await admin.ask(
                            operation.method, path, Self.body(of: schema, with: property.name, .integer(number)))
                        api.expectProblem(answer, [422], "\(operation.name) \(property.name) \(number)")
                        #expect(answer.text.contains("\(property.name) must be \(least) to \(most)"), "\(answer.text)")
                    }
                }
            }
            #expect(rangeCount >= 5, "each kind of token that is made through the API has one")
        }

        /// What the parameters of paths stand for.
        private static func values(of tenant: Tenant) -> [String: String] {
            [
                "organization": tenant.name, "project": tenant.project, "user": tenant.owner.name,
                "member": tenant.member.name, "token": "1", "trust": "1", "repository": "app",
            ]
        }

        /// A body that would be good but for one member.
        private static func body(of schema: JSONValue, with name: String, _ value: JSONValue) -> JSONValue {
            let good: [String: JSONValue] = [
                "name": .string(freshName("nul")), "region": "eu-9", "url": "http://127.0.9.6:9", "provider": "generic",
                "issuer": "https://ci.example", "audience": "depot", "conditions": ["sub": ["job"]],
                "repository": "app", "role": "member",
            ]
            let required = (schema["required"]?.arrayValue ?? []).compactMap(\.stringValue)
            let members = required.filter { $0 != name }.compactMap { required in
                good[required].map { JSONMember(name: required, value: $0) }
            }
            return .object(members + [JSONMember(name: name, value: value)])
        }

        @Test("of creations of one thing that come at once, one makes it and the others find it")
        func creationsAtOnce() async throws {
            let tenant = try await Tenant(system)
            let name = JSONValue.string(freshName("same"))
            for path in ["organizations", "users", "\(tenant.path)/projects", "\(tenant.path)/repositories"] {
                let statuses = try await atOnce(8) { [admin] in
                    try await admin.ask("POST", path, ["name": name]).status
                }
                #expect(statuses.sorted() == Array(repeating: 200, count: 7) + [201], "\(path)")
            }
        }

        @Test("of tokens of one name that are made at once, one is made")
        func tokensAtOnce() async throws {
            let tenant = try await Tenant(system)
            let statuses = try await atOnce(8) { [admin] in
                try await admin.ask("POST", "\(tenant.path)/tokens", ["name": "same"]).status
            }
            #expect(Set(statuses).isSubset(of: [201, 409]))
            let tokens = try await admin.items("\(tenant.path)/tokens")
            let made = tokens.filter { $0["name"] == "same" }
            #expect(made.count == statuses.filter { $0 == 201 }.count)
            #expect(made.count == 1)
        }
    }
}

/// What a call comes to that is made several times at once.
func atOnce<Value: Sendable>(
    _ count: Int, _ body: @Sendable @escaping () async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for _ in 0..<count { group.addTask { try await body() } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
