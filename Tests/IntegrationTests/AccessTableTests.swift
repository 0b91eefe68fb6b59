// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Every operation of both surfaces, asked by everybody. What is expected is said here once more, on its own.
    @Suite("The access table", .everyProcessLives)
    struct AccessTable {
        private enum Cell: String, Sendable { case admitted, unauthorized, denied, hidden }

        let system: System

        init() throws { system = try System() }

        // MARK: The admin API

        /// The meaning of the rights: `AdminRight`.
        private static func expected(_ operation: OpenAPI.Operation, _ principal: Principal) -> Cell {
            if operation.right == "nothing" { return .admitted }
            guard principal.counts else { return .unauthorized }
            if principal == .administrator { return .admitted }
            if operation.path.contains("{organization}"), [.outsider, .otherOrganization].contains(principal) {
                return .hidden
            }
            if operation.path.contains("{project}"), [.otherProject, .repositoryPull].contains(principal) {
                return .hidden
            }
            // The user of the path is the owner.
            if operation.path.contains("{user}"), [.outsider, .member].contains(principal) { return .hidden }
            let admitted: Set<Principal>
            switch operation.right {
            case "credential": return .admitted
            case "administrator": admitted = []
            case "user", "owner": admitted = [.owner]
            case "member": admitted = [.owner, .member, .organization]
            case "project": admitted = [.owner, .member, .organization, .project]
            default:
                Issue.record("\(operation.name) has a right that this table does not know")
                admitted = []
            }
            return admitted.contains(principal) ? .admitted : .denied
        }

        @Test("of the admin API: every operation of its document, by everybody")
        func adminAPI() async throws {
            let principals = try await AccessPrincipals(system)
            let admin = AdminClient(system)
            let api = try await OpenAPI(admin)
            let tenant = principals.tenant
            let values = [
                "organization": tenant.name, "project": tenant.project, "user": tenant.owner.name,
                "member": tenant.member.name, "token": "\(tenant.organizationToken.id)", "trust": "1",
                "repository": "\(tenant.project)/\(AccessPrincipals.repository)",
            ]
            let cells = api.operations.flatMap { operation in Principal.allCases.map { (operation, $0) } }
            #expect(cells.count >= 400)
            let before = try await Self.inventory(admin, tenant)
            try await concurrently(cells) { operation, principal in
                // Whoever is admitted is told that there is no such parameter; nothing is done.
                let answer = try await admin.asked(with: principals.secret(principal)).ask(
                    operation.method, "\(operation.path(values))?probe=1")
                let cell = Self.expected(operation, principal)
                let statuses: Set<Int> =
                    switch cell {
                    case .admitted: [400, 422]
                    case .unauthorized: [401]
                    case .denied: [403]
                    case .hidden: [404]
                    }
                api.expectProblem(answer, statuses, "\(operation.name) by \(principal): \(cell)")
            }
            #expect(try await Self.inventory(admin, tenant) == before, "a probe has changed something")
        }

        /// What the probes could have changed.
        private static func inventory(_ admin: AdminClient, _ tenant: Tenant) async throws -> [[JSONValue]] {
            var found: [[JSONValue]] = [[try await admin.done("GET", tenant.path)]]
            for list in ["members", "projects", "repositories", "projects/\(tenant.project)/trust"] {
                found.append(try await admin.items("\(tenant.path)/\(list)"))
            }
            // Without the time of their last use.
            let tokens = try await admin.items("\(tenant.path)/tokens")
            found.append(tokens.map { .array([$0["id"] ?? .null, $0["revoked_at"] ?? .null]) })
            return found
        }

        @Test("of the admin API: what is hidden and what does not exist are the same, to everybody")
        func hiddenAndAbsent() async throws {
            let principals = try await AccessPrincipals(system)
            let admin = AdminClient(system)
            let api = try await OpenAPI(admin)
            let (tenant, other) = (principals.tenant, principals.other)
            @Sendable func values(_ organization: String, _ project: String) -> [String: String] {
                [
                    "organization": organization, "project": project, "user": other.owner.name, "token": "1",
                    "member": "nobody", "trust": "1", "repository": "app",
                ]
            }
            let operations = api.operations.filter { $0.path.contains("{organization}") }
            let asking: [Principal] = [.owner, .member, .organization, .project, .projectPull, .repositoryPull]
            let cells = operations.flatMap { operation in asking.map { (operation, $0) } }
            try await concurrently(cells) { operation, principal in
                let client = admin.asked(with: principals.secret(principal))
                func shape(_ values: [String: String]) async throws -> AnswerShape {
                    AnswerShape(try await client.ask(operation.method, "\(operation.path(values))?probe=1"))
                }
                let absent = try await shape(values("nobody-here", "nothing"))
                #expect(absent.status == 404, "\(operation.name) by \(principal)")
                #expect(
                    try await shape(values(other.name, other.project)) == absent, "\(operation.name) by \(principal)")
                guard operation.path.contains("{project}") else { return }
                // A project of another organization is not found below this one.
                #expect(
                    try await shape(values(tenant.name, other.project)) == absent, "\(operation.name) by \(principal)")
                guard principal == .project || principal == .projectPull else { return }
                #expect(
                    try await shape(values(tenant.name, tenant.otherProject)) == absent,
                    "\(operation.name) by \(principal)")
            }
        }

        @Test("of the admin API: users cannot tell which other users there are")
        func otherUsers() async throws {
            let principals = try await AccessPrincipals(system)
            let admin = AdminClient(system)
            let operations = try await OpenAPI(admin).operations.filter { $0.path.contains("{user}") }
            for principal in [Principal.outsider, .member, .organization, .project] {
                let client = admin.asked(with: principals.secret(principal))
                for operation in operations {
                    var shapes: [AnswerShape] = []
                    for user in [principals.tenant.owner.name, "nobody"] {
                        let path = operation.path(["user": user, "token": "1"])
                        shapes.append(AnswerShape(try await client.ask(operation.method, "\(path)?probe=1")))
                    }
                    #expect(shapes[0] == shapes[1], "\(operation.name) by \(principal)")
                    #expect([403, 404].contains(shapes[0].status), "\(operation.name) by \(principal)")
                }
            }
        }

        // MARK: The registry

        private struct Route: Sendable {
            let method: String
            /// Behind the repository's name.
            let path: String
            let right: String
            /// Of who is admitted; the request is such that it changes nothing.
            let statuses: Set<Int>

            init(_ method: String, _ path: String, _ right: String, _ statuses: Set<Int>) {
                (self.method, self.path, self.right, self.statuses) = (method, path, right, statuses)
            }

            var name: String { "\(method) \(path)" }
        }

        private static let digest = "sha256:" + String(repeating: "0", count: 64)
        private static let upload = "blobs/uploads/00000000-0000-4000-8000-000000000000"

        private static let routes = [
            Route("GET", "blobs/\(digest)", "pull", [404]), Route("HEAD", "blobs/\(digest)", "pull", [404]),
            Route("DELETE", "blobs/\(digest)", "delete", [404]),
            Route("POST", "blobs/uploads/?digest=none", "push", [400]),
            Route("POST", "blobs/uploads/?mount=none&from=a", "push", [400]),
            Route("GET", upload, "push", [404]), Route("PATCH", upload, "push", [404]),
            Route("PUT", "\(upload)?digest=\(digest)", "push", [404]), Route("DELETE", upload, "push", [404]),
            Route("GET", "manifests/none", "pull", [404]), Route("HEAD", "manifests/none", "pull", [404]),
            Route("GET", "manifests/\(digest)", "pull", [404]), Route("PUT", "manifests/none", "push", [400]),
            Route("DELETE", "manifests/none", "delete", [404]),
            Route("DELETE", "manifests/\(digest)", "delete", [404]), Route("GET", "tags/list", "pull", [200]),
            Route("GET", "referrers/\(digest)", "pull", [200]),
        ]

        private enum Place: String, CaseIterable, Sendable {
            case own, otherProject, otherOrganization, absent

            func name(_ principals: AccessPrincipals) -> String {
                let (tenant, other) = (principals.tenant, principals.other)
                return switch self {
                case .own: "\(tenant.name)/\(tenant.project)/\(AccessPrincipals.repository)"
                case .otherProject: "\(tenant.name)/\(tenant.otherProject)/\(AccessPrincipals.repository)"
                case .otherOrganization: "\(other.name)/\(AccessPrincipals.repository)"
                case .absent: "\(tenant.name)/nothing/here"
                }
            }

            func isReached(by principal: Principal) -> Bool {
                let whole: Set<Principal> = [.administrator, .owner, .member, .organization]
                return switch self {
                case .own: whole.union([.project, .projectPull, .repositoryPull]).contains(principal)
                case .otherProject: whole.union([.otherProject]).contains(principal)
                case .otherOrganization: [.administrator, .outsider, .otherOrganization].contains(principal)
                case .absent: whole.contains(principal)
                }
            }
        }

        private static func expected(_ route: Route, _ place: Place, _ principal: Principal) -> Cell {
            guard principal.counts else { return .unauthorized }
            guard place.isReached(by: principal) else { return .hidden }
            let reads = principal == .projectPull || principal == .repositoryPull
            return reads && route.right != "pull" ? .denied : .admitted
        }

        /// By Basic, and with a registry token for everything that it gives.
        private enum Presentation: String, CaseIterable, Sendable { case basic, registryToken }

        private struct RegistryCell: Sendable {
            let route: Route
            let place: Place
            let principal: Principal
            let presentation: Presentation
            let credential: Credential

            var what: String { "\(route.name) at \(place) by \(principal), \(presentation)" }
        }

        private func registryCells(_ principals: AccessPrincipals) async throws -> [RegistryCell] {
            var cells: [RegistryCell] = []
            for place in Place.allCases {
                for principal in Principal.allCases {
                    for presentation in Presentation.allCases where presentation == .basic || principal.counts {
                        var credential = principals.credential(principal)
                        if presentation == .registryToken {
                            let repository = Repository(
                                system: system, name: place.name(principals), credential: credential)
                            credential = .bearer(try await repository.registryToken("pull,push,delete"))
                        }
                        cells += Self.routes.map { route in
                            RegistryCell(
                                route: route, place: place, principal: principal, presentation: presentation,
                                credential: credential)
                        }
                    }
                }
            }
            return cells
        }

        @Test("of the registry: every route, by everybody, at every kind of place; hidden and absent are the same")
        func registry() async throws {
            let principals = try await AccessPrincipals(system)
            let cells = try await registryCells(principals)
            #expect(cells.count >= 1200)
            try await concurrently(cells, width: 96) { [system] cell in
                let route = cell.route
                let name = cell.place.name(principals)
                let repository = Repository(system: system, name: name, credential: cell.credential)
                let answer = try await repository.ask(route.method, route.path)
                let expected = Self.expected(route, cell.place, cell.principal)
                Self.check(answer, expected, route, cell.place, cell.what)
                guard expected == .hidden || cell.principal == .nobody || cell.principal == .unknownToken else {
                    return
                }
                let nowhere = Repository(system: system, name: "nobody-here/nothing", credential: cell.credential)
                let absent = AnswerShape(try await nowhere.ask(route.method, route.path), naming: nowhere.name)
                #expect(AnswerShape(answer, naming: name) == absent, "\(cell.what)")
            }
            // Nor did any of it make what was absent.
            let names = try await principals.tenant.admin.items("\(principals.tenant.path)/repositories")
            #expect(names.count == 2)
        }

        private static func check(
            _ answer: Answer, _ expected: Cell, _ route: Route, _ place: Place, _ what: String
        ) {
            switch expected {
            case .unauthorized:
                #expect(answer.status == 401, "\(what)")
                #expect(answer.codes == ["UNAUTHORIZED"] || route.method == "HEAD", "\(what)")
            case .denied:
                #expect(answer.status == 403, "\(what)")
                #expect(answer.codes == ["DENIED"], "\(what)")
            case .hidden:
                #expect(answer.status == 404, "\(what)")
                #expect(answer.codes == ["NAME_UNKNOWN"] || route.method == "HEAD", "\(what)")
            case .admitted where place == .absent:
                // The list of referrers may be empty where there is nothing (distribution-spec 1.1).
                let statuses: Set<Int> = route.path.hasPrefix("referrers/") ? [200, 404] : [400, 404]
                #expect(statuses.contains(answer.status), "\(what): \(answer.status)")
            case .admitted:
                #expect(route.statuses.contains(answer.status), "\(what): \(answer.status) \(answer.text)")
                #expect(!answer.codes.contains("NAME_UNKNOWN"), "\(what)")
            }
        }

        @Test("of the registry: its base and its catalog are for whoever has a credential")
        func baseAndCatalog() async throws {
            let principals = try await AccessPrincipals(system)
            let cells = Principal.allCases.flatMap { principal in
                [("GET", "/v2/"), ("HEAD", "/v2/"), ("GET", "/v2/_catalog")].map { (principal, $0.0, $0.1) }
            }
            try await concurrently(cells) { [system] principal, method, path in
                let anywhere = Repository(
                    system: system, name: "any", credential: principals.credential(principal))
                let status = try await anywhere.ask(method, path).status
                #expect(status == (principal.counts ? 200 : 401), "\(method) \(path) by \(principal)")
            }
        }
    }
}

/// All of an answer by which two could be told apart.
struct AnswerShape: Equatable {
    let status: Int
    let headers: [String]
    let body: String

    /// - Parameter name: Of the repository that was asked for: an answer may repeat it.
    init(_ answer: Answer, naming name: String? = nil) {
        func neutral(_ text: String) -> String { name.map { text.replacing($0, with: "NAME") } ?? text }
        status = answer.status
        headers = answer.head.headers.filter { !["date", "x-request-id"].contains($0.name) }
            .map { "\($0.name): \(neutral($0.value))" }.sorted()
        body = neutral(answer.text)
    }
}
