// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration.TrustedIssuer {
    /// Jobs of a CI system log in with what their system gives them.
    @Suite("Identity tokens of CI systems", .everyProcessLives)
    struct Trust {
        let system: System

        init() throws { system = try System() }

        /// Pushes and pulls in the project, and nowhere else.
        private func expectReach(
            _ trusting: TrustingTenant, _ credential: Credential, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let mine = Repository(
                system: system, name: "\(trusting.tenant.name)/\(trusting.path)", credential: credential)
            let image = try await mine.pushedImage(as: "v1")
            let pulled = try await mine.ask("GET", "manifests/v1")
            #expect(pulled.body == image.manifest.bytes, sourceLocation: sourceLocation)
            let blob = try await mine.ask("GET", "blobs/\(image.layer.digest)")
            #expect(blob.body == image.layer.bytes, sourceLocation: sourceLocation)
            for name in [
                "\(trusting.tenant.name)/\(trusting.tenant.otherProject)/app", "\(trusting.tenant.name)/free",
                "\(system.description.organization)/app",
            ] {
                let other = Repository(system: system, name: name, credential: credential)
                for (method, path) in [("GET", "tags/list"), ("POST", "blobs/uploads/")] {
                    let hidden = try await other.ask(method, path)
                    #expect(hidden.status == 404, "\(name)", sourceLocation: sourceLocation)
                    #expect(hidden.codes == ["NAME_UNKNOWN"], "\(name)", sourceLocation: sourceLocation)
                }
            }
        }

        @Test("an identity token logs in as a password and as bearer, and buys a registry token, for its project alone")
        func login() async throws {
            try await TrustingTenant.with(system) { trusting in
                let token = try await trusting.identityToken()
                try await expectReach(trusting, .basic("x-token:\(token)"))
                try await expectReach(trusting, .bearer(token))
                let registryToken = try await trusting.repository(password: token).registryToken("pull,push")
                let bearer = trusting.repository(password: "").asked(with: .bearer(registryToken))
                #expect(try await bearer.ask("GET", "manifests/v1").status == 200)
                #expect(try await bearer.ask("POST", "blobs/uploads/").status == 202)

                let identity = try await trusting.tenant.admin.asked(with: token).done("GET", "identity")
                #expect(identity["kind"] == "trust")
                #expect(identity["project"] == .string(trusting.tenant.project))
                // However often it is presented, it is one token.
                let tokens = try await trusting.tenant.admin.items("\(trusting.tenant.path)/tokens")
                #expect(tokens.count { $0["kind"] == "trust" } == 1)
            }
        }

        @Test("an exchange gives a token of the project that ends with the identity token; a second one is refused")
        func exchange() async throws {
            try await TrustingTenant.with(system) { trusting in
                let identity = try await trusting.identityToken()
                let answer = try await trusting.exchange(identity)
                try #require(answer.status == 200, "\(answer.text)")
                let token = try #require(answer.json?["access_token"]?.stringValue)
                #expect(token.hasPrefix("dpt_"))
                #expect(answer.json?["token_type"] == "Bearer")
                #expect(answer["cache-control"] == "no-store")
                #expect((200...300).contains(answer.json?["expires_in"]?.integerValue ?? 0))
                try await expectReach(trusting, .basic("x-token:\(token)"))

                let again = try await trusting.exchange(identity)
                #expect(again.status == 401)
                #expect(again.text.contains("exchanged before"))
                #expect(try await trusting.exchange(try await trusting.identityToken()).status == 200)
            }
        }

        @Test("of exchanges of one identity token that come at once, one succeeds")
        func exchangesAtOnce() async throws {
            try await TrustingTenant.with(system) { trusting in
                let identity = try await trusting.identityToken()
                let statuses = try await atOnce(8) { try await trusting.exchange(identity).status }
                #expect(statuses.sorted() == [200] + Array(repeating: 401, count: 7))
                // As a password it counts all the same, and is one token however many come first.
                let logins = try await atOnce(8) {
                    try await trusting.repository(password: identity).ask("GET", "/v2/").status
                }
                #expect(logins == Array(repeating: 200, count: 8))
                let tokens = try await trusting.tenant.admin.items("\(trusting.tenant.path)/tokens")
                #expect(tokens.count { $0["kind"] == "trust" } == 2)
            }
        }

        /// What is wrong, and what the refusal has to name.
        private static let wrong: [Row<(changes: [String: JSONValue], named: String)>] = [
            Row("another audience", (["aud": "https://other.example"], "claim aud")),
            Row("audiences without ours", (["aud": ["https://other.example"]], "claim aud")),
            Row("another subject", (["sub": "project:somebody"], "claim sub")),
            Row("a subject that begins as ours", (["sub": .string(TrustingTenant.subject + "2")], "claim sub")),
            Row("a subject that is no text", (["sub": 1], "claim sub")),
            Row("expired", (["exp": .integer(Int64(Date().timeIntervalSince1970) - 3600)], "expired")),
            Row("not yet valid", (["nbf": .integer(Int64(Date().timeIntervalSince1970) + 3600)], "valid")),
        ]

        @Test(
            "an identity token with one wrong claim is 401, which names the claim and not what was expected",
            arguments: wrong)
        func wrongClaim(row: Row<(changes: [String: JSONValue], named: String)>) async throws {
            try await TrustingTenant.with(system) { trusting in
                let token = try await trusting.identityToken(row.value.changes)
                let byPassword = trusting.repository(password: token)
                let form =
                    "grant_type=password&username=x-token&password=\(token)&client_id=a"
                let answers = [
                    try await byPassword.ask("GET", "manifests/v1"),
                    try await byPassword.asked(with: .bearer(token)).ask("GET", "manifests/v1"),
                    try await byPassword.ask("GET", "/token?scope=repository:\(byPassword.name):pull"),
                    try await ask(
                        system.origin,
                        HTTPRequest(
                            "POST", "/token", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                            body: Array(form.utf8))),
                    try await trusting.exchange(token),
                ]
                for answer in answers {
                    #expect(answer.status == 401)
                    #expect(answer.text.contains(row.value.named), "\(answer.text)")
                    #expect(!answer.text.contains(TrustingTenant.audience))
                    #expect(!answer.text.contains(TrustingTenant.subject))
                }
                let tokens = try await trusting.tenant.admin.items("\(trusting.tenant.path)/tokens")
                #expect(!tokens.contains { $0["kind"] == "trust" })
            }
        }

        @Test("a token that another issuer has signed, or that nobody trusts, is 401")
        func wrongKey() async throws {
            let stranger = try await LoopbackIssuer.start()
            try await TrustingTenant.with(system) { trusting in
                let forged = try await trusting.identityToken(signer: stranger)
                let untrusted = try await trusting.identityToken(["iss": .string(stranger.url)], signer: stranger)
                for token in [forged, untrusted] {
                    let refused = try await trusting.repository(password: token).ask("GET", "manifests/v1")
                    #expect(refused.status == 401)
                    #expect(refused.codes == ["UNAUTHORIZED"])
                    #expect(!refused.text.contains(TrustingTenant.audience))
                    #expect(try await trusting.exchange(token).status == 401)
                }
                // An issuer that nobody trusts is not asked for its keys.
                #expect(try await stranger.ask("GET", "/test/fetches") == "0")
            }
            try await stranger.stop()
        }

        @Test(
            "the end of a trust relationship ends the tokens that it gave and what was made with them; the audit log tells of all of it"
        )
        func end() async throws {
            try await TrustingTenant.with(system) { trusting in
                let identity = try await trusting.identityToken()
                let reader = trusting.repository(password: identity)
                _ = try await reader.pushedImage(as: "v1")
                let exchanged = try await trusting.exchange(try await trusting.identityToken())
                let token = try #require(exchanged.json?["access_token"]?.stringValue)
                let pull = try await trusting.tenant.admin.asked(with: token).token(
                    "\(trusting.tenant.projectPath)/pull-tokens", [:])
                let readers = [
                    reader, trusting.repository(password: token), trusting.repository(password: pull.secret),
                    reader.asked(with: .bearer(try await reader.registryToken("pull"))),
                ]
                for reader in readers { #expect(try await reader.ask("GET", "manifests/v1").status == 200) }
                let tenant = trusting.tenant
                _ = try await trusting.repository(
                    password: try await trusting.identityToken(["sub": "project:somebody"])
                ).ask("GET", "manifests/v1")
                try await tenant.admin.done("DELETE", "\(tenant.projectPath)/trust/\(trusting.relationship)")
                for reader in readers { #expect(try await reader.ask("GET", "manifests/v1").status == 401) }
                let late = trusting.repository(password: try await trusting.identityToken())
                #expect(try await late.ask("GET", "manifests/v1").status == 401)

                let log = try await tenant.admin.items("\(tenant.path)/audit")
                for action in ["trust.create", "trust.login", "trust.delete"] {
                    #expect(log.contains { $0["action"] == .string(action) && $0["outcome"] == "done" }, "\(action)")
                }
                #expect(log.contains { $0["actor"] == .string("generic \(TrustingTenant.subject)") })
                try await waitUntil("the refusal is in the log of the deployment") {
                    try await tenant.admin.items("audit").contains {
                        $0["action"] == "trust.login" && $0["outcome"] == "denied"
                            && $0["detail"]?.stringValue?.contains("claim sub") == true
                    }
                }
            }
        }
    }
}
