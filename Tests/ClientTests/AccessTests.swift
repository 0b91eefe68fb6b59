// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// Tokens as people use them: logged in with by the clients themselves.
extension RealClients {
    @Suite struct AccessTests {
        enum Kind: String, CaseIterable, CustomTestStringConvertible, Sendable {
            case user, organization, project, pull
            /// What a CI job's identity token is exchanged for, and that token itself.
            case trust, job

            var testDescription: String { rawValue }
        }

        /// A project of the suite's organization, with a token of each kind that reaches it.
        struct Tenant {
            let registry: Registry
            let project: String
            private let admin: RawHTTP
            private let description: StackDescription

            init() async throws {
                description = try currentStack().description
                admin = try RawHTTP(description.origins[0].adminUrl)
                let name = "access-\(UUID().uuidString.prefix(8).lowercased())"
                let made = try await Self.ask(
                    admin, description, "organizations/\(description.organization)/projects", ["name": name])
                project = try #require(made["id"] as? String)
                registry = try Registry(project)
            }

            private struct NoIssuer: Error {}

            /// - Parameter issuer: Of the identity tokens of jobs; for `trust` and `job`, and for nothing else.
            func token(_ kind: Kind, issuer: LoopbackIssuer? = nil) async throws -> String {
                if let issuer {
                    let identityToken = try await identityToken(of: issuer)
                    return kind == .job ? identityToken : try await exchanged(identityToken)
                }
                let organization = "organizations/\(description.organization)"
                let name = ["name": UUID().uuidString]
                let path =
                    switch kind {
                    case .user: "users/administrator/tokens"
                    case .organization: "\(organization)/tokens"
                    case .project: "\(organization)/projects/\(project)/tokens"
                    case .pull: "\(organization)/projects/\(project)/pull-tokens"
                    case .trust, .job: throw NoIssuer()
                    }
                return try #require(try await Self.ask(admin, description, path, name)["token"] as? String)
            }

            /// Of a job that the project trusts.
            private func identityToken(of issuer: LoopbackIssuer) async throws -> String {
                let (audience, subject) = ("https://depot.example", "project:group/app:main")
                let path = "organizations/\(description.organization)/projects/\(project)/trust"
                _ = try await Self.ask(
                    admin, description, path,
                    [
                        "name": "main", "provider": "generic", "issuer": issuer.url, "audience": audience,
                        "conditions": ["sub": [subject]],
                    ])
                let end = Int(Date().timeIntervalSince1970) + 300
                let claims: [String: Any] = [
                    "iss": issuer.url, "sub": subject, "aud": audience, "jti": UUID().uuidString, "exp": end,
                    "iat": end - 305,
                ]
                let json = try JSONSerialization.data(withJSONObject: claims, options: .withoutEscapingSlashes)
                return try await issuer.token("p256", "ES256", Array(json))
            }

            private func exchanged(_ identityToken: String) async throws -> String {
                let names = "urn:ietf:params:oauth:"
                let form =
                    "grant_type=\(names)grant-type:token-exchange&subject_token=\(identityToken)"
                    + "&subject_token_type=\(names)token-type:id_token"
                let answer = try await RawHTTP(description.origin).request(
                    "POST", "/token", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                    body: Data(form.utf8))
                let document = try JSONSerialization.jsonObject(with: answer.body) as? [String: Any]
                return try #require(document?["access_token"] as? String, "\(answer.text)")
            }

            private static func ask(
                _ admin: RawHTTP, _ description: StackDescription, _ path: String, _ body: [String: Any]
            ) async throws -> [String: Any] {
                let answer = try await admin.request(
                    "POST", "/api/v1/\(path)", headers: [("Authorization", "Bearer \(description.adminToken)")],
                    body: try JSONSerialization.data(withJSONObject: body))
                try #require(answer.status == 201, "\(path): \(answer.status) \(answer.text)")
                return try #require(try JSONSerialization.jsonObject(with: answer.body) as? [String: Any])
            }
        }

        private static func image() async throws -> (Layout, [String]) {
            let layout = try Layout()
            let (manifest, diffIDs) = try await layout.addImage(layerBytes: [100_000, 100])
            try layout.finish(["1": manifest])
            return (layout, diffIDs)
        }

        @Test(
            "docker login with each kind of token: all pull, all but a pull token push, and that is told why",
            arguments: Kind.allCases)
        func dockerLogin(kind: Kind) async throws {
            let issuer = [.trust, .job].contains(kind) ? try await LoopbackIssuer.start() : nil
            do {
                try await expectLogin(kind, issuer)
            } catch {
                try await issuer?.stop()
                throw error
            }
            try await issuer?.stop()
        }

        private func expectLogin(_ kind: Kind, _ issuer: LoopbackIssuer?) async throws {
            let tenant = try await Tenant()
            let (layout, diffIDs) = try await Self.image()
            let clients = try currentClients()
            let reference = tenant.registry.reference("1")
            try await clients[.skopeo].push(layout, "1", to: reference)

            let scratch = try ScratchDirectory("login")
            let docker = clients.docker.asked(with: scratch.path)
            let host = tenant.registry.stack.registryHost
            let login = try await docker.result(
                "login", host, "-u", "x-token", "-p", try await tenant.token(kind, issuer: issuer))
            #expect(login.status == 0, "\(login.summary)")
            #expect(try await docker.pull(reference) == diffIDs)
            try await docker.run("tag", reference, tenant.registry.reference("2"))
            let push = try await docker.result("push", tenant.registry.reference("2"))
            if kind == .pull {
                #expect(push.status != 0)
                #expect(push.summary.contains("denied"), "\(push.summary)")
            } else {
                #expect(push.status == 0, "\(push.summary)")
            }
        }

        @Test(
            "the file of a Kubernetes pull secret lets each client that reads it pull", arguments: ["pull", "project"])
        func pullSecret(kind: String) async throws {
            let tenant = try await Tenant()
            let (layout, diffIDs) = try await Self.image()
            let reference = tenant.registry.reference("1")
            try await currentClients()[.skopeo].push(layout, "1", to: reference)
            let token = try await tenant.token(try #require(Kind(rawValue: kind)))
            // As `kubectl create secret docker-registry` writes it.
            let entry = [
                "username": "x-token", "password": token, "auth": Data("x-token:\(token)".utf8).base64EncodedString(),
            ]
            let scratch = try ScratchDirectory("secret")
            let file = scratch.path("config.json")
            try JSONEncoder().encode(["auths": [tenant.registry.stack.registryHost: entry]])
                .write(to: URL(filePath: file))
            let readers: [any Client] = [
                Skopeo(authFile: file), Podman(authFile: file), Buildah(authFile: file),
                try currentClients().docker.asked(with: scratch.path),
            ]
            for reader in readers { #expect(try await reader.pull(reference) == diffIDs, "\(type(of: reader))") }
        }

        @Test("containerd pulls with a pull token, and is refused a push")
        func containerd() async throws {
            let tenant = try await Tenant()
            let (layout, diffIDs) = try await Self.image()
            let reference = tenant.registry.reference("1")
            try await currentClients()[.skopeo].push(layout, "1", to: reference)
            let scratch = try ScratchDirectory("ctr-pull-token")
            let containerd = try await Containerd(scratch, user: "x-token:\(try await tenant.token(.pull))")
            do {
                #expect(try await containerd.pull(reference) == diffIDs)
                let push = await #expect(throws: CommandFailure.self) {
                    try await containerd.push(layout, "1", to: tenant.registry.reference("2"))
                }
                #expect(push?.result.summary.contains("403 Forbidden") == true, "\(push?.result.summary ?? "")")
            } catch {
                await containerd.stop()
                throw error
            }
            await containerd.stop()
        }

        @Test(
            "one log-in pushes, pulls, and pushes the same layers to another repository of the project",
            arguments: ClientName.allCases)
        func moreScope(client: ClientName) async throws {
            let (layout, diffIDs) = try await Self.image()
            let clients = try currentClients()
            for repository in ["scope-\(client)", "scope-\(client)/again"] {
                let reference = try Registry(repository).reference("1")
                try await clients[client].push(layout, "1", to: reference)
                #expect(try await clients[client].pull(reference) == diffIDs)
            }
        }
    }
}
