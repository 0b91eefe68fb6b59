// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// What the origin makes of paths: routes, methods, names, tags and digests.
    @Suite("Paths of the registry", .everyProcessLives)
    struct Paths {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("paths")
        }

        // MARK: Routes and methods

        @Test("the base answers to who has a credential, with and without its slash", arguments: ["/v2/", "/v2"])
        func base(path: String) async throws {
            let answer = try await repository.ask("GET", path)
            #expect(answer.status == 200)
            #expect(answer["docker-distribution-api-version"] == "registry/2.0")
        }

        @Test(
            "what is no route is 404",
            arguments: [
                "/v1/_ping", "/v2/demo/paths/blobs", "/v2/demo/paths/other/thing", "/v2/demo/paths/tags/other",
                "/other",
            ])
        func unknownRoute(path: String) async throws {
            #expect(try await repository.ask("GET", path).status == 404)
        }

        static let digest = "sha256:" + String(repeating: "a", count: 64)

        @Test(
            "another method of a route is 405, says which are allowed, and looks at no credential",
            arguments: [
                ("POST", "/v2/", "GET, HEAD"),
                ("PUT", "/v2/demo/paths/tags/list", "GET"),
                ("PATCH", "/v2/demo/paths/manifests/x", "GET, HEAD, PUT, DELETE"),
                ("POST", "/v2/demo/paths/manifests/x", "GET, HEAD, PUT, DELETE"),
                ("PUT", "/v2/demo/paths/blobs/\(digest)", "GET, HEAD, DELETE"),
                ("POST", "/v2/demo/paths/referrers/\(digest)", "GET"),
                ("GET", "/v2/demo/paths/blobs/uploads/", "POST"),
                ("TRACE", "/v2/", "GET, HEAD"),
            ])
        func otherMethod(method: String, path: String, allowed: String) async throws {
            let answer = try await repository.asked(with: .none).ask(method, path)
            #expect(answer.status == 405)
            #expect(answer.codes == ["UNSUPPORTED"])
            let methods = Set((answer["allow"] ?? "").split(separator: ", "))
            #expect(methods.isSuperset(of: allowed.split(separator: ", ")))
        }

        @Test("a method that HTTP does not know ends the request", arguments: ["FOO", "get"])
        func unknownMethod(method: String) async throws {
            let answer = try await ask(system.origin, HTTPRequest(method, "/v2/"))
            #expect([400, 501].contains(answer.status))
        }

        @Test(
            "an answer to HEAD has no body, whatever it says: the next answer of the connection follows at once",
            arguments: [
                "/v2/demo/paths/manifests/absent", "/v2/demo/paths/blobs/\(digest)", "/v2/demo/paths/tags/list",
                "/v2/demo/PATHS/manifests/x", "/v2/demo/paths/other/thing", "/other", "/v2/",
            ])
        func headHasNoBody(path: String) async throws {
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            let head = try await connection.answer(to: repository.request("HEAD", path))
            let next = try await connection.answer(to: repository.request("GET", "/v2/"))
            #expect(next.status == 200 && next.text == "{}", "after \(head.status)")
            let refused = try await connection.answer(to: repository.asked(with: .none).request("HEAD", path))
            #expect(
                try await connection.answer(to: repository.request("GET", "/v2/")).text == "{}",
                "after \(refused.status)")
        }

        // MARK: Names

        static let badNames = [
            "A/b", "a/B", "/a", "a/", "a//b", ".a", "a.", "a..b", "-a", "a-", "_a", "a_", "a___b", "a._b", "a/_b",
            "a/../b", "a/./b", "..", "%2e%2e/b", "%252e%252e/b", "a%2fb", "a%2Fb", "a%00b", "a%20b", "a:b", "a@b",
            "a%5cb",
            "a\\b", "a%0d%0aX:1", "%c0%ae", String(repeating: "a", count: 256),
        ]

        @Test("a name outside the grammar is 400 NAME_INVALID, for reads and for writes", arguments: badNames)
        func badName(name: String) async throws {
            for (method, path) in [
                ("GET", "manifests/latest"), ("HEAD", "manifests/latest"), ("GET", "blobs/\(Self.digest)"),
                ("GET", "tags/list"), ("POST", "blobs/uploads/"), ("PUT", "manifests/latest"),
            ] {
                let answer = try await repository.ask(method, "/v2/demo/\(name)/\(path)")
                #expect(answer.status == 400, "\(method) \(path)")
                if method != "HEAD" { #expect(answer.codes == ["NAME_INVALID"], "\(method) \(path)") }
            }
        }

        @Test(
            "bytes that no URL may hold end the request",
            arguments: ["é", "\u{FF0E}", "🙂", "a\u{0}b", "a\u{7F}b", "a b"])
        func badBytes(name: String) async throws {
            #expect(try await repository.ask("GET", "/v2/demo/\(name)/manifests/latest").status == 400)
        }

        @Test("a path of 10 KiB is refused")
        func longPath() async throws {
            let name = String(repeating: "a", count: 10_240)
            let answer = try await repository.ask("GET", "/v2/demo/\(name)/manifests/latest")
            #expect([400, 414, 431].contains(answer.status))
        }

        @Test(
            "names at the limits of the grammar can be pushed to",
            arguments: [
                "a__b", "a-----b", "a.b_c-d/0", "blobs/uploads", "manifests/tags/list", "v2", "x/blobs",
                String(repeating: "a/", count: 127) + "a",
            ])
        func goodName(name: String) async throws {
            let repository = system.repository(name)
            let blob = try await repository.pushedBlob(sizeBytes: 100)
            let answer = try await repository.ask("GET", "blobs/\(blob.digest)")
            #expect(answer.status == 200)
            #expect(answer.body == blob.bytes)
        }

        @Test("an organization is needed in the path form")
        func noOrganization() async throws {
            let answer = try await repository.ask("GET", "/v2/alone/manifests/latest")
            #expect(answer.status == 400)
            #expect(answer.codes == ["NAME_INVALID"])
        }

        // MARK: Tags

        static let badTags = [
            String(repeating: "t", count: 129), ".x", "-x", "x+y", "x@y", "x%20y", "x:y", "", "..", "x%00", "x%0a",
            "%6catest",
        ]

        @Test("a tag outside the grammar cannot be pushed (400) and does not exist (404)", arguments: badTags)
        func badTag(tag: String) async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let manifest = TestManifest.image(config: try await repository.pushedBlob(sizeBytes: 10), layers: [])
            let put = try await repository.push(manifest, as: tag)
            #expect(put.status == 400)
            #expect(put.codes == ["MANIFEST_INVALID"])
            let get = try await repository.ask("GET", "manifests/\(tag)")
            #expect(get.status == 404)
            #expect(get.codes == ["MANIFEST_UNKNOWN"])
            #expect(try await repository.ask("HEAD", "manifests/\(tag)").status == 404)
        }

        // MARK: Digests

        static let hex = String(repeating: "a", count: 64)
        static let badDigests = [
            "abc", "sha256:", ":abc", "sha256:\(hex.dropLast())", "sha256:\(hex)a", "sha256:\(hex.uppercased())",
            "sha256:g\(hex.dropFirst())", "sha256:\(hex)\(hex)", "sha512:\(hex)", "md5:\(hex.prefix(32))",
            "sha1:\(hex.prefix(40))", "SHA256:\(hex)", "sha256-\(hex)", "sha256:" + String(repeating: "a", count: 5120),
            "sha256:\(hex)%00", "sha256:\(hex)%0a", "%20sha256:\(hex)",
        ]

        @Test("a digest outside the grammar is 400 DIGEST_INVALID", arguments: badDigests)
        func badDigest(digest: String) async throws {
            let blob = try await repository.ask("GET", "blobs/\(digest)")
            #expect(blob.status == 400)
            #expect(blob.codes == ["DIGEST_INVALID"])
            #expect(try await repository.ask("HEAD", "blobs/\(digest)").status == 400)
            let upload = try await repository.startUpload()
            let put = try await repository.ask("PUT", "\(upload)?digest=\(digest)")
            #expect(put.status == 400)
            #expect(put.codes == ["DIGEST_INVALID"])
        }

        @Test("a digest with a path inside is no digest")
        func digestWithPath() async throws {
            #expect([400, 404].contains(try await repository.ask("GET", "blobs/sha256:../..").status))
        }

        @Test("an unknown blob is 404, also where another repository has it")
        func unknownBlob() async throws {
            let elsewhere = try await system.repository("elsewhere").pushedBlob(sizeBytes: 80_000)
            _ = try await repository.pushedBlob(sizeBytes: 10)
            for digest in [elsewhere.digest.description, Self.digest] {
                let answer = try await repository.ask("GET", "blobs/\(digest)")
                #expect(answer.status == 404)
                #expect(answer.codes == ["BLOB_UNKNOWN"])
                #expect(try await repository.ask("HEAD", "blobs/\(digest)").status == 404)
            }
        }

        @Test("a host that is not the registry's is 421")
        func foreignHost() async throws {
            let request = repository.request("GET", "/v2/", headers: [("Host", "registry.example")])
            #expect(try await ask(system.origin, request).status == 421)
        }
    }
}
