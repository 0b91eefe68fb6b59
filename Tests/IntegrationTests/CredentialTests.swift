// SPDX-License-Identifier: Apache-2.0

import Foundation
import Grammar
import Hashing
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// Who gets in, and how clients get their tokens.
    @Suite("Credentials", .everyProcessLives)
    struct Credentials {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("credentials")
        }

        private func authenticateHeader(_ answer: Answer) throws -> Challenge {
            let header = try #require(answer["www-authenticate"])
            return try #require(Challenge(header))
        }

        // MARK: Token flows

        @Test("no credential is 401, with one challenge that names realm, service and scope")
        func challenge() async throws {
            let answer = try await repository.asked(with: .none).ask("GET", "manifests/latest")
            #expect(answer.status == 401)
            #expect(answer.codes == ["UNAUTHORIZED"])
            #expect(answer.head.headers.filter { $0.name == "www-authenticate" }.count == 1)
            let challenge = try authenticateHeader(answer)
            #expect(challenge["realm"] == "http://\(system.origin.authority)/token")
            #expect(challenge["service"] == system.origin.authority)
            #expect(challenge["scope"] == "repository:\(repository.name):pull")
        }

        @Test("docker's flow: the challenge of the base, GET with Basic, then push and pull with what it gave")
        func dockerFlow() async throws {
            let challenge = try authenticateHeader(try await repository.asked(with: .none).ask("GET", "/v2/"))
            let realm = try #require(challenge["realm"])
            let endpoint = try #require(Endpoint.split(url: realm))
            let query = "service=\(try #require(challenge["service"]))&scope=repository:\(repository.name):pull,push"
            let answer = try await ask(
                endpoint.endpoint,
                repository.request("GET", "\(endpoint.target)?account=x-token&client_id=docker&\(query)"))
            #expect(answer.status == 200)
            #expect(answer["cache-control"] == "no-store")
            let token = try #require(answer.json?["token"]?.stringValue)
            #expect(answer.json?["access_token"]?.stringValue == token)
            #expect(token.split(separator: ".").count == 3, "a registry token is a JWT")
            let expiry = try #require(answer.json?["expires_in"]?.integerValue)
            #expect((60...900).contains(expiry))

            let bearer = repository.asked(with: .bearer(token))
            #expect(try await bearer.ask("GET", "/v2/").status == 200)
            let blob = try await bearer.pushedBlob(sizeBytes: 1000)
            #expect(try await bearer.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
        }

        @Test("containerd's flow: a form by POST", arguments: ["password", "refresh_token"])
        func containerdFlow(grant: String) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 1000)
            let form =
                "grant_type=\(grant)&service=\(system.origin.host)%3A\(system.origin.port)&client_id=containerd-client"
                + "&scope=repository%3A\(repository.name.replacing("/", with: "%2F"))%3Apull&username=x-token"
                + "&\(grant)=\(system.description.token)"
            let answer = try await postForm(form)
            #expect(answer.status == 200)
            let token = try #require(answer.json?["access_token"]?.stringValue)
            let bearer = repository.asked(with: .bearer(token))
            #expect(try await bearer.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
        }

        private func postForm(_ form: String) async throws -> Answer {
            try await ask(
                system.origin,
                HTTPRequest(
                    "POST", "/token", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                    body: Array(form.utf8)))
        }

        @Test("a wrong password buys no token, by GET and by POST")
        func wrongPassword() async throws {
            let forged = String(system.description.token.dropLast()) + "!"
            let get = try await repository.asked(with: .basic("x-token:\(forged)")).ask(
                "GET", "/token?service=\(system.origin.authority)&scope=repository:\(repository.name):pull")
            #expect(get.status == 401)
            #expect(get["www-authenticate"]?.hasPrefix("Basic ") == true)
            let post = try await postForm("grant_type=password&username=x-token&password=\(forged)&client_id=a")
            #expect(post.status == 401)
            #expect(try await repository.asked(with: .none).ask("GET", "/token").status == 401)
        }

        private func token(scope: String, credential: Credential = .organization) async throws -> String {
            let answer = try await repository.asked(with: credential).ask(
                "GET", "/token?service=\(system.origin.authority)&scope=\(scope)")
            try #require(answer.status == 200, "\(answer.text)")
            return try #require(answer.json?["token"]?.stringValue)
        }

        @Test("a token with too little scope is told what it lacks, and with that the request succeeds")
        func wideScope() async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let narrow = try await token(scope: "repository:\(repository.name):pull")
            let refused = try await repository.asked(with: .bearer(narrow)).ask("POST", "blobs/uploads/")
            #expect(refused.status == 401)
            let challenge = try authenticateHeader(refused)
            #expect(challenge["error"] == "insufficient_scope")
            #expect(challenge["scope"] == "repository:\(repository.name):pull,push")
            let wide = try await token(scope: try #require(challenge["scope"]))
            #expect(try await repository.asked(with: .bearer(wide)).ask("POST", "blobs/uploads/").status == 202)
        }

        @Test(
            "a token is good for its repository alone",
            arguments: ["credential", "credentials2", "credentials/b", "Credentials"])
        func otherScope(name: String) async throws {
            let other = try await token(
                scope: "repository:demo/\(name.lowercased() == "credentials" ? "x" : name):pull,push")
            let answer = try await repository.asked(with: .bearer(other)).ask("POST", "blobs/uploads/")
            #expect(answer.status == 401)
        }

        @Test(
            "the token endpoint refuses what it cannot read",
            arguments: [
                "scope=repository", "scope=repository:demo/a", "scope=:demo/a:pull",
                "service=other.example",
                "scope=" + Array(repeating: "repository:demo/a:pull", count: 1000).joined(separator: "%20"),
            ])
        func badTokenRequest(query: String) async throws {
            #expect([400, 414, 431].contains(try await repository.ask("GET", "/token?\(query)").status))
        }

        // MARK: Refused credentials

        static let invalid: [Row<@Sendable (StackDescription) -> String>] = [
            Row("empty bearer") { _ in "Bearer " },
            Row("two segments") { _ in "Bearer aa.bb" },
            Row("four segments") { _ in "Bearer aa.bb.cc.dd" },
            Row("five segments, an encrypted token") { _ in "Bearer aa.bb.cc.dd.ee" },
            Row("algorithm none") { _ in "Bearer \(jwt(header: #"{"alg":"none","typ":"JWT"}"#))." },
            Row("algorithm None") { _ in "Bearer \(jwt(header: #"{"alg":"None","typ":"JWT"}"#))." },
            Row("HS256 with an empty key") { _ in
                let text = jwt(header: #"{"alg":"HS256","typ":"JWT"}"#)
                return "Bearer \(text).\(Base64URL.encode(MAC.hmacSHA256(key: [], Array(text.utf8))))"
            },
            Row("unknown key") { _ in "Bearer \(jwt(header: #"{"alg":"ES256","kid":"../../x"}"#)).AAAA" },
            Row("no algorithm") { _ in "Bearer \(jwt(header: #"{"typ":"JWT"}"#)).AAAA" },
            Row("unknown scheme") { "Digest \($0.token)" },
            Row("Basic without a colon") { _ in "Basic " + Data("x-token".utf8).base64EncodedString() },
            Row("Basic that is no base64") { _ in "Basic !!!" },
            Row("Basic with NUL") { _ in "Basic " + Data("x\u{0}token:abc".utf8).base64EncodedString() },
            Row("wrong password") { _ in "Basic " + Data("x-token:dpo_wrong".utf8).base64EncodedString() },
            Row("password cut short") { "Basic " + Data("x-token:\($0.token.dropLast())".utf8).base64EncodedString() },
            Row("empty password") { _ in "Basic " + Data("x-token:".utf8).base64EncodedString() },
        ]

        private static func jwt(header: String) -> String {
            let payload = #"{"iss":"depot","aud":"127.0.0.1","exp":9999999999,"access":[]}"#
            return "\(Base64URL.encode(header.utf8)).\(Base64URL.encode(payload.utf8))"
        }

        @Test("a credential that is none of ours is 401 with one challenge, for reads and writes", arguments: invalid)
        func invalidCredential(row: Row<@Sendable (StackDescription) -> String>) async throws {
            let header = [(name: "Authorization", value: row.value(system.description))]
            for (method, path) in [("GET", "/v2/"), ("GET", "manifests/latest"), ("POST", "blobs/uploads/")] {
                let answer = try await repository.asked(with: .none).ask(method, path, headers: header)
                #expect(answer.status == 401, "\(method) \(path)")
                #expect(answer.codes == ["UNAUTHORIZED"])
                #expect(answer.head.headers.filter { $0.name == "www-authenticate" }.count == 1)
            }
        }

        @Test("a genuine registry token is refused once one part of it is changed", arguments: [0, 1, 2])
        func changedToken(part: Int) async throws {
            let genuine = try await token(scope: "repository:\(repository.name):pull,push")
            var parts = genuine.split(separator: ".").map(String.init)
            let middle = parts[part].index(parts[part].startIndex, offsetBy: parts[part].count / 2)
            let old = parts[part][middle]
            parts[part].replaceSubrange(middle...middle, with: old == "A" ? "B" : "A")
            let answer = try await repository.asked(with: .bearer(parts.joined(separator: "."))).ask("GET", "/v2/")
            #expect(answer.status == 401)
            let stripped = "\(parts[0]).\(parts[1])."
            #expect(try await repository.asked(with: .bearer(stripped)).ask("GET", "/v2/").status == 401)
        }

        @Test("two Authorization headers are 400")
        func twoHeaders() async throws {
            let headers = Credential.organization.headers(of: system.description)
            #expect(try await repository.ask("GET", "/v2/", headers: headers).status == 400)
        }

        @Test("a credential of 1 MiB is refused without being looked at")
        func hugeCredential() async throws {
            let answer = try await repository.asked(with: .bearer(String(repeating: "a", count: .mebibyte))).ask(
                "GET", "/v2/")
            #expect([400, 401, 413, 431].contains(answer.status))
        }

        @Test("a credential that does not count waits for 20 ms at least, whatever is wrong with it, at every endpoint")
        func timing() async throws {
            let failing = [
                "unknown": MadeToken.unknown(), "cut short": String(system.description.token.dropLast()),
                "of another kind": "hunter2", "revoked": try await revokedToken(),
            ]
            let form = [(name: "Content-Type", value: "application/x-www-form-urlencoded")]
            for (name, secret) in failing {
                let basic = Credential.basic("x-token:\(secret)").headers(of: system.description)
                let body = Array("grant_type=password&username=x-token&password=\(secret)".utf8)
                let requests: [(Endpoint, HTTPRequest)] = [
                    (system.origin, HTTPRequest("GET", "/v2/", headers: basic)),
                    (system.origin, HTTPRequest("GET", "/token?service=\(system.origin.authority)", headers: basic)),
                    (system.origin, HTTPRequest("POST", "/token", headers: form, body: body)),
                    (system.admin, HTTPRequest("GET", "/api/v1/identity", headers: basic)),
                ]
                for (endpoint, request) in requests {
                    let began = ContinuousClock.now
                    let answer = try await IntegrationTests.ask(endpoint, request)
                    #expect(ContinuousClock.now - began >= .milliseconds(20), "\(name): \(request)")
                    #expect(answer.status == 401, "\(name): \(request)")
                }
            }
        }

        private func revokedToken() async throws -> String {
            let admin = AdminClient(system)
            let tokens = "organizations/\(system.description.organization)/tokens"
            let token = try await admin.token(tokens, ["name": .string(freshName("revoked"))])
            try await admin.done("DELETE", "\(tokens)/\(token.id)")
            return token.secret
        }

        // MARK: Foreign organizations

        @Test("a foreign organization looks like one that does not exist, whatever is asked of it")
        func foreignOrganization() async throws {
            try await AdminClient(system).done("POST", "organizations", ["name": "guarded"])
            let owner = Repository(system: system, name: "guarded/secret", credential: .administrator)
            let blob = try await owner.pushedBlob(sizeBytes: 70_005)
            let manifest = TestManifest.image(config: blob, layers: [])
            try #require(try await owner.push(manifest, as: "latest").status == 201)
            try #require(try await owner.ask("GET", "blobs/\(blob.digest)").status == 307)

            let foreign = owner.asked(with: .organization)
            let absent = Repository(system: system, name: "absent/secret", credential: .organization)
            for (method, path) in [
                ("GET", "blobs/\(blob.digest)"), ("HEAD", "blobs/\(blob.digest)"), ("GET", "manifests/latest"),
                ("GET", "manifests/\(manifest.digest)"), ("GET", "tags/list"), ("POST", "blobs/uploads/"),
                ("POST", "blobs/uploads/?digest=\(blob.digest)"), ("PUT", "manifests/latest"),
            ] {
                let refused = try await foreign.ask(method, path)
                let missing = try await absent.ask(method, path)
                #expect(refused.status == 404, "\(method) \(path)")
                #expect(refused.status == missing.status, "\(method) \(path)")
                #expect(refused.body == missing.body, "\(method) \(path)")
            }
            // The right bytes in one's own hands give no right to another's repository, nor to mount from it.
            for source in ["&from=guarded/secret", ""] {
                let mount = try await repository.ask("POST", "blobs/uploads/?mount=\(blob.digest)\(source)")
                #expect(mount.status == 202)
            }
            #expect(try await repository.ask("HEAD", "blobs/\(blob.digest)").status == 404)
            let bearer = try await token(scope: "repository:guarded/secret:pull")
            #expect(try await foreign.asked(with: .bearer(bearer)).ask("GET", "blobs/\(blob.digest)").status == 404)
        }

        @Test("a pull token reads; a push with it is 403 and says why")
        func pullToken() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 100)
            let made = try await AdminClient(system).token(
                "organizations/\(system.description.organization)/pull-tokens", ["repository": "credentials"])
            let reader = repository.asked(with: .basic("x-token:\(made.secret)"))
            #expect(try await reader.ask("GET", "blobs/\(blob.digest)").body == blob.bytes)
            for (method, path) in [("POST", "blobs/uploads/"), ("PUT", "manifests/latest")] {
                let answer = try await reader.ask(method, path)
                #expect(answer.status == 403)
                #expect(answer.codes == ["DENIED"])
            }
        }
    }
}

/// `WWW-Authenticate: Bearer realm="…",service="…"`.
private struct Challenge {
    private let parameters: [String: String]

    init?(_ header: String) {
        guard header.hasPrefix("Bearer ") else { return nil }
        var parameters: [String: String] = [:]
        // Values hold commas, so the quotes are what separates.
        let parts = header.dropFirst("Bearer ".count).split(separator: "\"", omittingEmptySubsequences: false)
        for index in stride(from: 0, to: parts.count - 1, by: 2) {
            let name = parts[index].drop { $0 == "," || $0 == " " }.dropLast()
            parameters[String(name)] = String(parts[index + 1])
        }
        self.parameters = parameters
    }

    subscript(_ name: String) -> String? { parameters[name] }
}
