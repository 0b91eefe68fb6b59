// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

/// An organization with an owner, a member and two projects, all made through the API, and tokens of them.
struct Tenant: Sendable {
    struct User: Sendable {
        let name: String
        let token: MadeToken
    }

    let system: System
    let admin: AdminClient
    let name: String
    let owner: User
    let member: User
    let organizationToken: MadeToken
    /// Public ids.
    let project: String
    let otherProject: String
    let projectToken: MadeToken
    let otherProjectToken: MadeToken

    init(_ system: System, admin: AdminClient? = nil) async throws {
        let admin = admin ?? AdminClient(system)
        let name = freshName("t")
        self.system = system
        self.admin = admin
        self.name = name
        try await admin.done("POST", "organizations", ["name": .string(name)])
        owner = try await Self.user("owner", of: name, admin)
        member = try await Self.user("member", of: name, admin)
        let path = "organizations/\(name)"
        organizationToken = try await admin.token("\(path)/tokens", ["name": "machine"])
        project = try await Self.project("a", of: name, admin)
        otherProject = try await Self.project("b", of: name, admin)
        projectToken = try await admin.token("\(path)/projects/\(project)/tokens", ["name": "ci"])
        otherProjectToken = try await admin.token("\(path)/projects/\(otherProject)/tokens", ["name": "ci"])
    }

    /// Below `/api/v1/`.
    var path: String { "organizations/\(name)" }
    var projectPath: String { "\(path)/projects/\(project)" }

    private static func user(_ role: String, of organization: String, _ admin: AdminClient) async throws -> User {
        let name = freshName(role)
        try await admin.done("POST", "users", ["name": .string(name)])
        try await admin.done("PUT", "organizations/\(organization)/members/\(name)", ["role": .string(role)])
        return User(name: name, token: try await admin.token("users/\(name)/tokens", ["name": "laptop"]))
    }

    private static func project(_ name: String, of organization: String, _ admin: AdminClient) async throws -> String {
        let made = try await admin.done("POST", "organizations/\(organization)/projects", ["name": .string(name)])
        return try #require(made["id"]?.stringValue)
    }

    // MARK: Repositories

    /// A repository of the organization, asked with its token unless another one is given.
    func repository(_ name: String, token: String? = nil) -> Repository {
        Repository(
            system: system, name: "\(self.name)/\(name)",
            credential: .basic("x-token:\(token ?? organizationToken.secret)"))
    }

    /// Makes an empty one.
    func makeRepository(_ name: String) async throws {
        try await admin.done("POST", "\(path)/repositories", ["name": .string(name)])
    }

    /// A pull token of one repository, or of one tag or digest of it.
    func pullToken(
        of repository: String, reference: String? = nil, seconds: Int64 = 3600
    ) async throws -> MadeToken {
        let reference: JSONValue = reference.map { ["reference": .string($0)] } ?? [:]
        let body: JSONValue = ["repository": .string(repository), "ttl_seconds": .integer(seconds)]
        return try await admin.token("\(path)/pull-tokens", body.adding(reference))
    }

    func projectPullToken() async throws -> MadeToken {
        try await admin.token("\(projectPath)/pull-tokens", ["name": "machines"])
    }
}

extension Repository {
    func asked(withToken token: String) -> Repository { asked(with: .basic("x-token:\(token)")) }

    /// A registry token for this repository.
    /// - Parameter endpoint: The origin that gives it out, and that it is good for.
    func registryToken(_ actions: String, at endpoint: Endpoint? = nil) async throws -> String {
        let endpoint = endpoint ?? system.origin
        let query = "service=\(endpoint.authority)&scope=repository:\(name):\(actions)"
        let answer = try await IntegrationTests.ask(endpoint, request("GET", "/token?\(query)"))
        try #require(answer.status == 200, "\(answer.text)")
        return try #require(answer.json?["token"]?.stringValue)
    }

    /// Pushes an image of two small blobs.
    func pushedImage(as reference: String) async throws -> (manifest: TestManifest, config: TestBlob, layer: TestBlob) {
        let (config, layer) = (try await pushedBlob(sizeBytes: 100), try await pushedBlob(sizeBytes: 1000))
        let manifest = TestManifest.image(config: config, layers: [layer])
        try #require(try await push(manifest, as: reference).status == 201)
        return (manifest, config, layer)
    }
}
