// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Tokens that pull one thing, and tokens of projects.
    @Suite("Pull tokens and project tokens", .everyProcessLives)
    struct PullTokens {
        let system: System

        init() throws { system = try System() }

        /// An index `v1` of one image in a repository that holds another image, `v2`, as well.
        private struct Content {
            let tenant: Tenant
            let repository: Repository
            let path: String
            let index: TestManifest
            let child: (manifest: TestManifest, config: TestBlob, layer: TestBlob)
            let other: (manifest: TestManifest, config: TestBlob, layer: TestBlob)

            init(_ system: System) async throws {
                tenant = try await Tenant(system)
                path = "\(tenant.project)/app"
                repository = tenant.repository(path)
                child = try await repository.pushedImage(as: "child")
                let digest = child.manifest.digest
                index = TestManifest.index(of: [(digest, child.manifest.bytes.count)])
                try #require(try await repository.push(index, as: "v1").status == 201)
                try #require(try await repository.ask("DELETE", "manifests/child").status == 202)
                other = try await repository.pushedImage(as: "v2")
            }
        }

        private enum Way: String, CaseIterable, Sendable { case basic, registryToken }

        private func reader(_ way: Way, _ repository: Repository, _ token: MadeToken) async throws -> Repository {
            let basic = repository.asked(withToken: token.secret)
            guard way == .registryToken else { return basic }
            return basic.asked(with: .bearer(try await basic.registryToken("pull")))
        }

        @Test("a token of one tag pulls all of it and nothing else, by Basic and through the token endpoint")
        func oneTag() async throws {
            let content = try await Content(system)
            let token = try await content.tenant.pullToken(of: content.path, reference: "v1")
            let (child, other) = (content.child, content.other)
            for way in Way.allCases {
                let reader = try await reader(way, content.repository, token)
                for reference in ["v1", "\(content.index.digest)"] {
                    #expect(try await reader.ask("GET", "manifests/\(reference)").body == content.index.bytes, "\(way)")
                    #expect(try await reader.ask("HEAD", "manifests/\(reference)").status == 200, "\(way)")
                }
                let pulled = try await reader.ask("GET", "manifests/\(child.manifest.digest)")
                #expect(pulled.body == child.manifest.bytes, "\(way)")
                for blob in [child.config, child.layer] {
                    #expect(try await reader.ask("GET", "blobs/\(blob.digest)").body == blob.bytes, "\(way)")
                }
                for (path, code) in [
                    ("manifests/v2", "MANIFEST_UNKNOWN"), ("manifests/\(other.manifest.digest)", "MANIFEST_UNKNOWN"),
                    ("blobs/\(other.config.digest)", "BLOB_UNKNOWN"), ("blobs/\(other.layer.digest)", "BLOB_UNKNOWN"),
                    ("tags/list", "NAME_UNKNOWN"), ("referrers/\(other.manifest.digest)", "MANIFEST_UNKNOWN"),
                ] {
                    let hidden = try await reader.ask("GET", path)
                    #expect(hidden.status == 404, "\(path), \(way)")
                    #expect(hidden.codes == [code], "\(path), \(way)")
                }
                // As what is not there at all.
                let (hidden, absent) = (
                    try await reader.ask("GET", "manifests/v2"), try await reader.ask("GET", "manifests/v3")
                )
                #expect(AnswerShape(hidden) == AnswerShape(absent))
            }
        }

        @Test("a push with a pull token is 403 and says why")
        func push() async throws {
            let content = try await Content(system)
            for token in [
                try await content.tenant.pullToken(of: content.path, reference: "v1"),
                try await content.tenant.pullToken(of: content.path), try await content.tenant.projectPullToken(),
            ] {
                let reader = content.repository.asked(withToken: token.secret)
                for (method, path) in [
                    ("POST", "blobs/uploads/"), ("PUT", "manifests/v1"), ("DELETE", "manifests/v1"),
                    ("DELETE", "blobs/\(content.child.layer.digest)"),
                ] {
                    let refused = try await reader.ask(method, path)
                    #expect(refused.status == 403, "\(method) \(path)")
                    #expect(refused.codes == ["DENIED"])
                    #expect(refused.text.contains("pull token is read only"))
                }
            }
        }

        @Test("a token of one tag goes with the tag when that moves")
        func movedTag() async throws {
            let content = try await Content(system)
            let token = try await content.tenant.pullToken(of: content.path, reference: "v1")
            let reader = content.repository.asked(withToken: token.secret)
            let other = content.other.manifest
            #expect(try await reader.ask("GET", "manifests/\(other.digest)").status == 404)
            #expect(try await content.repository.push(other, as: "v1").status == 201)
            #expect(try await reader.ask("GET", "manifests/v1").body == other.bytes)
            #expect(try await reader.ask("GET", "manifests/\(other.digest)").status == 200)
            #expect(try await reader.ask("GET", "manifests/\(content.index.digest)").status == 404)
            #expect(try await reader.ask("GET", "blobs/\(content.child.layer.digest)").status == 404)
        }

        @Test("a token of one digest does not pull by tag")
        func oneDigest() async throws {
            let content = try await Content(system)
            let digest = content.index.digest
            let token = try await content.tenant.pullToken(of: content.path, reference: "\(digest)")
            let reader = content.repository.asked(withToken: token.secret)
            #expect(try await reader.ask("GET", "manifests/\(digest)").body == content.index.bytes)
            #expect(try await reader.ask("GET", "blobs/\(content.child.layer.digest)").status == 200)
            #expect(try await reader.ask("GET", "manifests/v1").status == 404)
        }

        @Test("a pull token lives at most a day, and ends when it says")
        func lifetime() async throws {
            let content = try await Content(system)
            let (admin, path) = (content.tenant.admin, "\(content.tenant.path)/pull-tokens")
            for seconds: JSONValue in [86_401, 0, -1, .number("9223372036854775807")] {
                let body: JSONValue = ["repository": .string(content.path), "ttl_seconds": seconds]
                #expect(try await admin.ask("POST", path, body).status == 422, "\(seconds)")
            }
            _ = try await content.tenant.pullToken(of: content.path, seconds: 86_400)
            let short = try await content.tenant.pullToken(of: content.path, reference: "v1", seconds: 2)
            let reader = content.repository.asked(withToken: short.secret)
            #expect(try await reader.ask("GET", "manifests/v1").status == 200)
            let bearer = reader.asked(with: .bearer(try await reader.registryToken("pull")))
            #expect(try await bearer.ask("GET", "manifests/v1").status == 200)
            try await waitUntil("the token expires", within: .seconds(10), every: .milliseconds(200)) {
                try await reader.ask("GET", "manifests/v1").status == 401
            }
            #expect(try await reader.ask("GET", "manifests/v1").text.contains("expired"))
            #expect(try await bearer.ask("GET", "manifests/v1").status == 401, "what was bought with it ends with it")
        }

        @Test("a project token works in its project alone, and the catalog of each token lists what it reaches")
        func projects() async throws {
            let tenant = try await Tenant(system)
            let names = [
                "\(tenant.project)", "\(tenant.project)/cache", "linked", "\(tenant.otherProject)/app", "free",
            ]
            for name in names { try await tenant.makeRepository(name) }
            try await tenant.admin.done(
                "PATCH", "\(tenant.path)/repositories/linked", ["project": .string(tenant.project)])
            let mine = tenant.repository(names[0], token: tenant.projectToken.secret)
            let blob = try await mine.pushedBlob(sizeBytes: 100)
            #expect(try await mine.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
            for name in names[3...] {
                let other = tenant.repository(name, token: tenant.projectToken.secret)
                #expect(try await other.ask("GET", "tags/list").codes == ["NAME_UNKNOWN"])
                #expect(try await other.ask("POST", "blobs/uploads/").codes == ["NAME_UNKNOWN"])
            }

            let inProject: Set = Set(names[..<3])
            let expected: [(String, MadeToken, Set<String>)] = [
                ("organization", tenant.organizationToken, Set(names)), ("member", tenant.member.token, Set(names)),
                ("project", tenant.projectToken, inProject), ("other project", tenant.otherProjectToken, [names[3]]),
                ("pulls of the project", try await tenant.projectPullToken(), inProject),
                ("pulls of a repository", try await tenant.pullToken(of: "free"), ["free"]),
            ]
            for (kind, token, repositories) in expected {
                let reader = mine.asked(withToken: token.secret)
                let answer = try await reader.ask("GET", "/v2/_catalog")
                let listed = answer.json?["repositories"]?.arrayValue?.compactMap(\.stringValue) ?? []
                #expect(Set(listed) == Set(repositories.map { "\(tenant.name)/\($0)" }), "\(kind)")
            }
        }

        @Test("a mount from another project, another organization or an unnamed place gives nothing away")
        func mount() async throws {
            let tenant = try await Tenant(system)
            let other = try await Tenant(system)
            let blob = try await tenant.repository("\(tenant.otherProject)/app").pushedBlob(sizeBytes: 100)
            try await other.repository("app").push(blob)
            let mine = tenant.repository("\(tenant.project)/app", token: tenant.projectToken.secret)
            let bearer = mine.asked(with: .bearer(try await mine.registryToken("pull,push")))
            for from in [
                "&from=\(tenant.name)/\(tenant.otherProject)/app", "&from=\(other.name)/app",
                "&from=\(tenant.name)/nothing",
                "",
            ] {
                for asking in [mine, bearer] {
                    let answer = try await asking.ask("POST", "blobs/uploads/?mount=\(blob.digest)\(from)")
                    #expect(answer.status == 202, "\(from)")
                }
            }
            #expect(try await mine.ask("HEAD", "blobs/\(blob.digest)").status == 404)
            // Who reaches the source is given the blob.
            try await tenant.repository("\(tenant.project)/source").push(blob)
            let granted = try await mine.ask(
                "POST", "blobs/uploads/?mount=\(blob.digest)&from=\(tenant.name)/\(tenant.project)/source")
            #expect(granted.status == 201)
            #expect(try await mine.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
        }
    }
}
