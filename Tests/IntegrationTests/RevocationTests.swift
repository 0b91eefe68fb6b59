// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.TwoOrigins {
    /// What one origin takes from somebody, the other soon refuses.
    @Suite("Revocation", .everyProcessLives)
    struct Revocation {
        /// Two seconds are promised; the machine may be busy with other things.
        private static let limit: Duration = .seconds(5)

        let system: System
        private let endpoints: [Endpoint]

        init() throws {
            system = try System()
            endpoints = try system.description.origins.map { try #require(Endpoint(url: $0.url)) }
        }

        private func pull(_ repository: Repository, at origin: Int, _ path: String = "manifests/v1") async throws -> Int
        {
            try await IntegrationTests.ask(endpoints[origin], repository.request("GET", path)).status
        }

        /// A reader by Basic and one with a registry token for each origin, all of which have pulled.
        private func readers(_ repository: Repository, _ token: MadeToken) async throws -> [(Repository, Int)] {
            let basic = repository.asked(withToken: token.secret)
            var readers: [(Repository, Int)] = []
            for (origin, endpoint) in endpoints.enumerated() {
                let bearer = try await basic.registryToken("pull", at: endpoint)
                readers += [(basic, origin), (basic.asked(with: .bearer(bearer)), origin)]
            }
            for (reader, origin) in readers { try #require(try await pull(reader, at: origin) == 200) }
            return readers
        }

        /// All are refused: those of the first origin, which has answered the revocation, at once.
        private func expectRefused(
            _ readers: [(Repository, Int)], _ status: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            for (reader, origin) in readers where origin == 0 {
                #expect(try await pull(reader, at: 0) == status, sourceLocation: sourceLocation)
            }
            try await waitUntil("the other origin refuses", within: Self.limit, every: .milliseconds(100)) {
                for (reader, origin) in readers where origin == 1 {
                    if try await pull(reader, at: origin) != status { return false }
                }
                return true
            }
            for (reader, origin) in readers {
                #expect(try await pull(reader, at: origin) == status, sourceLocation: sourceLocation)
            }
        }

        private func tenantWithImage() async throws -> (tenant: Tenant, repository: Repository) {
            let tenant = try await Tenant(system)
            let repository = tenant.repository("\(tenant.project)/app")
            _ = try await repository.pushedImage(as: "v1")
            return (tenant, repository)
        }

        @Test("a token that is revoked at one origin pulls nothing at the other, nor does what was bought with it")
        func token() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let spare = try await tenant.admin.token("\(tenant.path)/tokens", ["name": "spare"])
            let (revoked, kept) = (
                try await readers(repository, tenant.organizationToken), try await readers(repository, spare)
            )
            try await tenant.admin.done("DELETE", "\(tenant.path)/tokens/\(tenant.organizationToken.id)")
            try await expectRefused(revoked, 401)
            for (reader, origin) in kept { #expect(try await pull(reader, at: origin) == 200) }
        }

        @Test("a pull token of a project, likewise")
        func pullToken() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let token = try await tenant.projectPullToken()
            let revoked = try await readers(repository, token)
            try await tenant.admin.done("DELETE", "\(tenant.path)/tokens/\(token.id)")
            try await expectRefused(revoked, 401)
        }

        @Test("pull tokens end with what they were made with, at both origins: a token, a membership, a user")
        func madeTokens() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let path = "\(tenant.projectPath)/pull-tokens"
            func made(with token: MadeToken) async throws -> [(Repository, Int)] {
                try await readers(repository, tenant.admin.asked(with: token.secret).token(path, [:]))
            }
            let byProject = try await made(with: tenant.projectToken)
            let byMember = try await made(with: tenant.member.token)
            let byOwner = try await made(with: tenant.owner.token)
            let byMachine = try await made(with: tenant.organizationToken)
            try await tenant.admin.done("DELETE", "\(tenant.path)/tokens/\(tenant.projectToken.id)")
            try await expectRefused(byProject, 401)
            try await tenant.admin.done("DELETE", "\(tenant.path)/members/\(tenant.member.name)")
            try await expectRefused(byMember, 401)
            try await tenant.admin.done("DELETE", "users/\(tenant.owner.name)")
            try await expectRefused(byOwner, 401)
            for (reader, origin) in byMachine { #expect(try await pull(reader, at: origin) == 200) }
        }

        @Test("who leaves an organization finds it gone, at both origins")
        func membership() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let left = try await readers(repository, tenant.member.token)
            try await tenant.admin.done("DELETE", "\(tenant.path)/members/\(tenant.member.name)")
            try await expectRefused(left, 404)
        }

        @Test("a user that is deleted is nobody, at both origins")
        func user() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let gone = try await readers(repository, tenant.owner.token)
            try await tenant.admin.done("DELETE", "users/\(tenant.owner.name)")
            try await expectRefused(gone, 401)
        }

        @Test("the tokens of a project that is deleted are none, and its repositories are gone, at both origins")
        func project() async throws {
            let (tenant, repository) = try await tenantWithImage()
            try await tenant.admin.done(
                "PATCH", "\(tenant.path)/repositories/\(tenant.project)/app", ["project": .string(tenant.project)])
            let gone = try await readers(repository, tenant.projectToken)
            let others = try await readers(repository, tenant.organizationToken)
            #expect(try await tenant.admin.ask("DELETE", tenant.projectPath).status == 409)
            try await tenant.admin.done("DELETE", "\(tenant.projectPath)?repositories=true")
            try await expectRefused(gone, 401)
            try await expectRefused(others, 404)
        }

        @Test("a repository that is deleted is gone at both origins")
        func repository() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let others = try await readers(repository, tenant.organizationToken)
            try await tenant.admin.done("DELETE", "\(tenant.path)/repositories/\(tenant.project)/app")
            try await expectRefused(others, 404)
        }

        @Test("an organization that is deleted is gone with its repositories and tokens, at both origins")
        func organization() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let machines = try await readers(repository, tenant.organizationToken)
            let users = try await readers(repository, tenant.member.token)
            let administrator = try await readers(
                repository, MadeToken(id: 0, secret: system.description.adminToken))
            #expect(try await tenant.admin.ask("DELETE", tenant.path).status == 409)
            try await tenant.admin.done("DELETE", "\(tenant.path)?repositories=true")
            try await expectRefused(machines, 401)
            try await expectRefused(users, 404)
            try await expectRefused(administrator, 404)
            // The name may be taken again, and nothing of what was there comes back.
            try await tenant.admin.done("POST", "organizations", ["name": .string(tenant.name)])
            for (reader, origin) in administrator { #expect(try await pull(reader, at: origin) == 404) }
            for (reader, origin) in machines { #expect(try await pull(reader, at: origin) == 401) }
            for (reader, origin) in users { #expect(try await pull(reader, at: origin) == 404) }
        }

        @Test("a link that was handed out before holds until it ends: an edge serves it; the origin gives no other")
        func link() async throws {
            let (tenant, repository) = try await tenantWithImage()
            let blob = try await repository.pushedBlob(sizeBytes: 100_000)
            let link = try await repository.link(to: blob)
            try await tenant.admin.done("DELETE", "\(tenant.path)/tokens/\(tenant.organizationToken.id)")
            #expect(try await repository.ask("GET", "blobs/\(blob.digest)").status == 401)
            #expect(try await link.get().body == blob.bytes)
        }
    }
}
