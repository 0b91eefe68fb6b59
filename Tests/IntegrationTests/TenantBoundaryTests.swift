// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// What belongs to one organization is not reached through another, whatever it is called by.
    @Suite("Boundaries between organizations", .everyProcessLives)
    struct TenantBoundary {
        let system: System

        init() throws { system = try System() }

        private static let rule: JSONValue = [
            "name": "deploy", "provider": "generic", "issuer": "https://ci.example", "audience": "depot",
            "conditions": ["sub": ["job"]],
        ]

        private func trust(_ tenant: Tenant) async throws -> Int64 {
            let made = try await tenant.admin.done("POST", "\(tenant.projectPath)/trust", Self.rule)
            return try #require(made["id"]?.integerValue)
        }

        @Test("numbers and names of another organization lead nowhere, and nothing of it is changed")
        func otherOrganization() async throws {
            let (mine, other) = (try await Tenant(system), try await Tenant(system))
            for tenant in [mine, other] { try await tenant.makeRepository("app") }
            let (myTrust, otherTrust) = (try await trust(mine), try await trust(other))
            let client = mine.admin.asked(with: mine.owner.token.secret)
            let (path, project) = (mine.path, JSONValue.string(other.project))
            let mySide = "users/\(mine.owner.name)/tokens"
            let requests: [(String, String, JSONValue?, Int)] = [
                ("DELETE", "\(path)/tokens/\(other.organizationToken.id)", nil, 404),
                ("DELETE", "\(path)/tokens/\(other.projectToken.id)", nil, 404),
                ("DELETE", "\(path)/tokens/\(other.owner.token.id)", nil, 404),
                // Nor are the tokens of its users the organization's.
                ("DELETE", "\(path)/tokens/\(mine.member.token.id)", nil, 404),
                ("DELETE", "\(mySide)/\(other.owner.token.id)", nil, 404),
                ("DELETE", "\(mySide)/\(mine.member.token.id)", nil, 404),
                ("DELETE", "\(mySide)/\(mine.organizationToken.id)", nil, 404),
                ("DELETE", "\(mine.projectPath)/trust/\(otherTrust)", nil, 404),
                ("DELETE", "\(path)/projects/\(mine.otherProject)/trust/\(myTrust)", nil, 404),
                ("GET", "\(path)/projects/\(other.project)", nil, 404),
                ("DELETE", "\(path)/projects/\(other.project)", nil, 404),
                ("POST", "\(path)/projects/\(other.project)/tokens", ["name": "x"], 404),
                ("POST", "\(path)/repositories", ["name": "new", "project": project], 422),
                ("PATCH", "\(path)/repositories/app", ["project": project], 422),
                ("GET", "\(path)/repositories?in_project=\(other.project)", nil, 422),
                ("GET", "\(path)/repositories/\(other.name)/app", nil, 404),
                ("POST", "\(path)/pull-tokens", ["repository": .string("\(other.name)/app")], 422),
            ]
            for (method, path, body, status) in requests {
                let answer = try await client.ask(method, path, body)
                #expect(answer.status == status, "\(method) \(path): \(answer.text)")
            }
            for token in [
                other.organizationToken, other.projectToken, other.owner.token, mine.member.token,
                mine.organizationToken,
            ] {
                #expect(try await client.asked(with: token.secret).ask("GET", "identity").status == 200)
            }
            for (tenant, id) in [(mine, myTrust), (other, otherTrust)] {
                let kept = try await tenant.admin.items("\(tenant.projectPath)/trust")
                #expect(kept.map { $0["id"]?.integerValue } == [id])
                let repositories = try await tenant.admin.items("\(tenant.path)/repositories")
                #expect(repositories == [["name": "app"]])
            }
        }

        @Test("an upload that was begun in one repository is none in another, whoever asks")
        func upload() async throws {
            let (mine, other) = (try await Tenant(system), try await Tenant(system))
            let started = try await other.repository("app").startUpload()
            let id = try #require(started.split(separator: "/").last)
            try await mine.makeRepository("app")
            let blob = TestBlob(sizeBytes: 10)
            let administrator = Repository(system: system, name: "\(mine.name)/app", credential: .administrator)
            for repository in [mine.repository("app"), administrator] {
                for (method, query) in [("GET", ""), ("PATCH", ""), ("PUT", "?digest=\(blob.digest)"), ("DELETE", "")] {
                    let body = ["PATCH", "PUT"].contains(method) ? blob.bytes : []
                    let answer = try await repository.ask(method, "blobs/uploads/\(id)\(query)", body: body)
                    #expect(answer.status == 404, "\(method)")
                    #expect(answer.codes == ["BLOB_UPLOAD_UNKNOWN"], "\(method)")
                }
            }
            #expect(try await other.repository("app").ask("GET", started).status == 204)
        }
    }
}
