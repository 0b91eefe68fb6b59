// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration.TrustedIssuer {
    /// Secrets are shown once, and stand nowhere afterwards.
    @Suite("Secrecy", .everyProcessLives)
    struct Secrecy {
        let system: System

        init() throws { system = try System() }

        /// Everything that must not be found, in each form that it travels in.
        private static func needles(_ secrets: [String: String]) -> [(name: String, bytes: Data)] {
            secrets.flatMap { name, secret in
                [
                    (name, Data(secret.utf8)),
                    (name + " in Basic", Data(Data("x-token:\(secret)".utf8).base64EncodedString().utf8)),
                ]
            }
        }

        /// Uses each secret where it works and where it does not.
        private func use(_ secrets: [String: String], _ trusting: TrustingTenant) async throws {
            let tenant = trusting.tenant
            let name = "\(tenant.name)/\(trusting.path)"
            let (origin, admin) = (system.origin, system.admin)
            let form = [(name: "Content-Type", value: "application/x-www-form-urlencoded")]
            var requests: [(endpoint: Endpoint, request: HTTPRequest)] = []
            for secret in secrets.values {
                for credential in [Credential.basic("x-token:\(secret)"), .bearer(secret), .basic("\(secret):x")] {
                    let headers = credential.headers(of: system.description)
                    for (method, target) in [
                        ("GET", "/v2/\(name)/manifests/v1"), ("POST", "/v2/\(name)/blobs/uploads/"),
                        ("PUT", "/v2/\(name)/manifests/v1"), ("GET", "/v2/"),
                        ("GET", "/token?account=x-token&scope=repository:\(name):pull"),
                    ] {
                        requests.append((origin, HTTPRequest(method, target, headers: headers)))
                    }
                    for path in ["identity", "\(tenant.path)/tokens", "users", "nothing"] {
                        requests.append((admin, HTTPRequest("GET", "/api/v1/\(path)", headers: headers)))
                    }
                    let target = "/api/v1/\(tenant.path)/tokens"
                    requests.append((admin, HTTPRequest("POST", target, headers: headers, body: Array("{".utf8))))
                }
                let body = Array("grant_type=password&username=x-token&password=\(secret)".utf8)
                requests.append((origin, HTTPRequest("POST", "/token", headers: form, body: body)))
            }
            try await concurrently(requests, width: 96) { endpoint, request in _ = try await ask(endpoint, request) }
            // A signed link, with its token in a header where it does not belong.
            let blob = try await tenant.repository(trusting.path).pushedBlob(sizeBytes: 100_000)
            let link = try await tenant.repository(trusting.path).link(to: blob)
            for secret in secrets.values {
                #expect(try await link.get([("Authorization", "Bearer \(secret)")]).status == 200)
            }
            #expect(try await link.with("g", String(repeating: "A", count: 43)).get().status == 403)
        }

        private func secrets(_ trusting: TrustingTenant) async throws -> [String: String] {
            let tenant = trusting.tenant
            let exchanged = try await trusting.exchange(try await trusting.identityToken())
            let organization = tenant.repository(trusting.path)
            let edge: JSONValue = ["name": .string(freshName("edge")), "region": "eu-9", "url": "http://127.0.9.8:9"]
            let join = try await tenant.admin.done("POST", "edges", edge)
            let revoked = try await tenant.admin.token("\(tenant.path)/tokens", ["name": "revoked"])
            try await tenant.admin.done("DELETE", "\(tenant.path)/tokens/\(revoked.id)")
            return [
                "administrator": system.description.adminToken, "first organization": system.description.token,
                "user": tenant.owner.token.secret, "organization": tenant.organizationToken.secret,
                "project": tenant.projectToken.secret, "project's pull": try await tenant.projectPullToken().secret,
                "repository's pull": try await tenant.pullToken(of: trusting.path).secret,
                "tag's pull": try await tenant.pullToken(of: trusting.path, reference: "v1").secret,
                "revoked": revoked.secret, "unknown": MadeToken.unknown(),
                "wrong password": "hunter2-\(freshName("p"))",
                "identity token": try await trusting.identityToken(),
                "wrong identity token": try await trusting.identityToken(["sub": "project:somebody"]),
                "exchanged": try #require(exchanged.json?["access_token"]?.stringValue),
                "registry token": try await organization.registryToken("pull,push"),
                "join credential": try #require(join["credential"]?.stringValue),
            ]
        }

        @Test("no secret is in a log, on a metrics page, in a list, in the audit log or in the database")
        func nowhere() async throws {
            try await TrustingTenant.with(system) { trusting in
                _ = try await trusting.tenant.repository(trusting.path).pushedImage(as: "v1")
                let secrets = try await secrets(trusting)
                #expect(secrets.count == 16)
                let marker = freshName("absent")
                try await use(secrets, trusting)
                // Shows that what was just done has arrived in the audit log, and that the search finds things.
                _ = try await trusting.tenant.admin.asked(with: trusting.tenant.member.token.secret).ask(
                    "GET", "organizations/\(marker)")
                try await waitUntil("the audit log has the last denial") {
                    try await trusting.tenant.admin.send("GET", "audit?format=ndjson").text.contains(marker)
                }
                let places = try await places(trusting)
                let found = places.filter { $0.content.range(of: Data(marker.utf8)) != nil }.map(\.name)
                #expect(found.contains("audit export") && found.contains("database"))
                #expect(places.allSatisfy { !$0.content.isEmpty }, "\(places.filter(\.content.isEmpty).map(\.name))")
                for (secret, needle) in Self.needles(secrets) {
                    for place in places where place.content.range(of: needle) != nil {
                        Issue.record("the secret \(secret) is in \(place.name)")
                    }
                }
            }
        }

        private func places(_ trusting: TrustingTenant) async throws -> [(name: String, content: Data)] {
            let description = system.description
            var places: [(name: String, content: Data)] = []
            let programs =
                description.origins.map { (name: "origin", log: $0.log, admin: $0.adminUrl) }
                + description.edges.map { (name: $0.name, log: $0.log, admin: $0.adminUrl) }
            for program in programs {
                places.append(("the log of \(program.name)", try Data(contentsOf: URL(filePath: program.log))))
                let admin = try #require(Endpoint(url: program.admin))
                let page = try await ask(admin, HTTPRequest("/metrics"))
                places.append(("the metrics of \(program.name)", Data(page.body)))
            }
            let tenant = trusting.tenant
            for list in [
                "organizations", "users", "users/\(tenant.owner.name)/tokens", "edges", "audit", "\(tenant.path)/audit",
                "\(tenant.path)/members", "\(tenant.path)/projects", "\(tenant.path)/repositories",
                "\(tenant.path)/tokens", "\(tenant.projectPath)/trust",
            ] {
                let query = list == "edges" ? "" : "?limit=1000"
                let answer = try await tenant.admin.ask("GET", list + query)
                try #require(answer.status == 200)
                places.append((list, Data(answer.body)))
            }
            let export = try await tenant.admin.send("GET", "audit?format=ndjson")
            try #require(export.status == 200)
            places.append(("audit export", Data(export.body)))
            let dump = try await Command(["pg_dump", "--inserts", description.databaseUrl]).run()
            try #require(dump.text.contains("INSERT INTO public.tokens"))
            places.append(("database", dump.output))
            return places
        }
    }
}
