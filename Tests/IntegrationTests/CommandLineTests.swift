// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// `depot-origin` as people and scripts call it.
    @Suite("Command line", .everyProcessLives)
    struct CommandLine {
        let system: System
        private let scratch: ScratchDirectory
        /// An organization that no other test uses.
        private let organization: String

        init() throws {
            system = try System()
            scratch = try ScratchDirectory("command-line")
            organization = "cli-\(UUID().uuidString.prefix(8).lowercased())"
        }

        private var adminURL: String { system.description.origins[0].adminUrl }
        private var configuration: String { scratch.path("config/depot-registry/config.json") }

        /// What the program sees of the environment: nothing of the one that the tests run in.
        private func environment(token: String) -> [String: String] {
            [
                "DEPOT_ADMIN_URL": adminURL, "DEPOT_TOKEN": token, "DEPOT_ORGANIZATION": organization,
                "DEPOT_PROJECT": "", "XDG_CONFIG_HOME": scratch.path("config"),
            ]
        }

        /// - Parameters:
        ///   - token: In the environment; empty: none. An administrator's unless given.
        ///   - input: What comes from standard input.
        private func call(
            _ arguments: String..., token: String? = nil, input: String? = nil, adding more: [String: String] = [:]
        ) async throws -> CommandResult {
            var command = Command(["\(RunningStack.programs)/depot-origin"] + arguments)
            command.environment = environment(token: token ?? system.description.adminToken).merging(more) { $1 }
            if let input {
                let file = scratch.path("input")
                try Data(input.utf8).write(to: URL(filePath: file))
                command.arguments = ["sh", "-c", "cat \"$INPUT\" | \"$@\"", "sh"] + command.arguments
                command.environment["INPUT"] = file
            }
            return try await command.result()
        }

        private func json(_ result: CommandResult) throws -> JSONValue {
            try #require(result.status == 0, "\(result.summary)")
            return try BoundedJSON.parse(Array(result.output), limits: JSONLimits(bytesMax: 16 << 20))
        }

        /// The only line of a success.
        private func line(_ result: CommandResult) throws -> String {
            try #require(result.status == 0, "\(result.summary)")
            let lines = result.text.split(separator: "\n", omittingEmptySubsequences: false)
            try #require(lines.count == 2 && lines[1].isEmpty, "\(result.text)")
            return String(lines[0])
        }

        private func withOrganization(_ body: () async throws -> Void) async throws {
            let made = try await call("org", "create", organization)
            #expect(try line(made) == organization)
            try await body()
            let gone = try await call("org", "delete", organization, "--repositories", "--yes")
            #expect(gone.status == 0, "\(gone.summary)")
        }

        private func permissions(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }

        // MARK: Logging in

        @Test("login takes a token from standard input, and what follows needs neither URL nor token, until logout")
        func login() async throws {
            let token = system.description.adminToken
            let nothing = ["DEPOT_ADMIN_URL": ""]
            let before = try await call("whoami", token: "", adding: nothing)
            #expect(before.status == 2 && before.errors.contains("depot-origin login"), "\(before.summary)")

            let made = try await call(
                "login", "--admin-url", adminURL, "--token-file", "-", "--project", "p1", token: "",
                input: token + "\n", adding: nothing)
            #expect(made.status == 0 && made.text.contains("administrator"), "\(made.summary)")
            #expect(try permissions(configuration) == 0o600)
            #expect(try permissions(scratch.path("config/depot-registry")) == 0o700)

            let identity = try await json(call("whoami", "--json", token: "", adding: nothing))
            #expect(identity["user"] == "administrator" && identity["is_administrator"] == true)
            let stored = try String(contentsOfFile: configuration, encoding: .utf8)
            #expect(stored.contains("\"project\":\"p1\""))

            let out = try await call("logout", token: "", adding: nothing)
            #expect(out.status == 0)
            #expect(try await call("whoami", token: "", adding: nothing).status == 2)
            #expect(try String(contentsOfFile: configuration, encoding: .utf8).contains(token) == false)
            for result in [before, made, out] { #expect(!(result.text + result.errors).contains(token)) }
        }

        @Test("a stored token goes nowhere but where it was stored for, and not from a file that others may open")
        func storedToken() async throws {
            let token = system.description.adminToken
            let made = try await call("login", "--token-file", "-", token: "", input: token)
            try #require(made.status == 0, "\(made.summary)")
            let elsewhere = try await call("whoami", "--admin-url", "http://127.0.0.1:1", token: "")
            #expect(elsewhere.status == 2 && elsewhere.errors.contains(adminURL), "\(elsewhere.summary)")
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: configuration)
            let open = try await call("whoami", token: "")
            #expect(open.status == 1 && open.errors.contains("chmod 600 \(configuration)"), "\(open.summary)")
            #expect(!(elsewhere.summary + open.summary).contains(token))
        }

        @Test("a wrong token is one line that says what to do, exit code 1, and is nowhere to be read")
        func wrongToken() async throws {
            let wrong = String(system.description.adminToken.dropLast(3)) + "AAA"
            for arguments in [["whoami"], ["login", "--token-file", "-"], ["org", "list", "--json"]] {
                let result = try await call(arguments, token: wrong)
                #expect(result.status == 1, "\(result.summary)")
                #expect(result.errors.contains("401") && result.errors.contains("depot-origin login"))
                #expect(result.errors.split(separator: "\n").count == 1 && result.text.isEmpty)
                #expect(!(result.text + result.errors).contains(wrong))
            }
            #expect(!FileManager.default.fileExists(atPath: configuration), "nothing is stored")
        }

        private func call(_ arguments: [String], token: String) async throws -> CommandResult {
            var command = Command(
                ["sh", "-c", "printf %s \"$DEPOT_TOKEN\" | \"$@\"", "sh", "\(RunningStack.programs)/depot-origin"]
                    + arguments)
            command.environment = environment(token: token)
            return try await command.result()
        }

        // MARK: Administering

        @Test("organizations, members and users come and go")
        func people() async throws {
            try await withOrganization {
                let user = "\(organization)@example"
                #expect(try line(await call("user", "create", user)) == user)
                _ = try await json(call("org", "member", "set", user, "--role", "owner", "--json"))
                let members = try await json(call("org", "member", "list", "--json"))
                #expect(members == [["user": .string(user), "role": "owner"]])

                let token = try line(await call("user", "token", "create", "laptop", "--user", user, "--ttl", "2h"))
                // The user sees one organization, so it needs no name; and its own tokens.
                let projects = try await call(
                    "project", "list", "--json", token: token, adding: ["DEPOT_ORGANIZATION": ""])
                #expect(try json(projects) == [])
                let tokens = try await json(call("user", "token", "list", "--json", token: token))
                #expect(tokens.arrayValue?.count == 1 && tokens.arrayValue?.first?["name"] == "laptop")

                let several = try await call("project", "list", adding: ["DEPOT_ORGANIZATION": ""])
                #expect(several.status == 2, "\(several.summary)")
                #expect([organization, "demo", "--org"].allSatisfy(several.errors.contains), "\(several.summary)")

                #expect(try await call("org", "member", "remove", user, "--yes").status == 0)
                #expect(try await call("user", "delete", user, "--yes").status == 0)
                #expect(try await call("whoami", token: token).status == 1)
            }
        }

        @Test("a project, its repository, and tokens that reach it and nothing else")
        func project() async throws {
            try await withOrganization {
                let project = try line(await call("project", "create", "shop"))
                #expect(try line(await call("project", "create", "shop")) == project, "it is there already")
                let shown = try await json(call("project", "show", project, "--json"))
                #expect(shown == ["id": .string(project), "name": "shop"])

                #expect(try line(await call("repo", "create", "app/web")) == "app/web")
                let linked = try await json(call("repo", "link", "app/web", "--project", project, "--json"))
                #expect(linked["project"] == .string(project))
                let listed = try await json(call("repo", "list", "--project", project, "--json"))
                #expect(listed.arrayValue?.contains { $0["name"] == "app/web" } == true)

                let token = try line(await call("token", "create", "ci", "--project", project))
                let identity = try await json(call("whoami", "--json", token: token))
                #expect(identity["kind"] == "project" && identity["project"] == .string(project))

                let pull = try line(await call("pull-token", "--repo", "app/web", "v1", "--ttl", "30m"))
                let puller = try await json(call("whoami", "--json", token: pull))
                #expect(puller["kind"] == "pull" && puller["repository"] == "app/web" && puller["reference"] == "v1")
                let whole = try await json(call("pull-token", "--json", adding: ["DEPOT_PROJECT": project]))
                #expect(whole["project"] == .string(project) && whole["token"]?.stringValue != nil)

                let tokens = try await json(call("token", "list", "--json")).arrayValue ?? []
                let id = try #require(tokens.first { $0["name"] == "ci" }?["id"]?.integerValue)
                let revoked = try await call("token", "revoke", "\(id)", "--yes")
                #expect(revoked.status == 0, "\(revoked.summary)")
                #expect(try await call("whoami", token: token).status == 1)

                #expect(try await json(call("repo", "unlink", "app/web", "--json"))["project"] == nil)
                #expect(try await call("project", "delete", project, "--yes").status == 0)
                let gone = try await call("project", "show", project)
                #expect(gone.status == 1 && gone.errors.contains("404"), "\(gone.summary)")
            }
        }

        @Test("a pull token without a project or repository is a wrong call that names the ways to set one")
        func noProject() async throws {
            let result = try await call("pull-token")
            #expect(result.status == 2 && result.text.isEmpty)
            let ways = ["--project", "DEPOT_PROJECT", configuration]
            #expect(ways.allSatisfy(result.errors.contains), "\(result.summary)")
            #expect(try await call("pull-token", "--project", "p", "--repo", "r").status == 2)
            #expect(try await call("pull-token", "--project", "p", "--ttl", "soon").status == 2)
        }

        @Test("trust is added, listed and removed; a policy that anybody could meet is refused")
        func trust() async throws {
            try await withOrganization {
                let project = try line(await call("project", "create", "shop"))
                let place = ["DEPOT_PROJECT": project]
                let id = try line(
                    await call(
                        "trust", "add", "--name", "main", "--provider", "github", "--audience",
                        "https://registry.example", "--claim", "repository_owner_id=9919", "--claim",
                        "repository_id=1296269,1296270", adding: place))
                let listed = try await json(call("trust", "list", "--json", adding: place)).arrayValue ?? []
                #expect(
                    listed.first?["conditions"] == [
                        "repository_owner_id": ["9919"], "repository_id": ["1296269", "1296270"],
                    ])
                #expect(listed.first?["allow_forks"] == false)
                let open = try await call(
                    "trust", "add", "--name", "open", "--provider", "github", "--audience",
                    "https://registry.example", "--claim", "ref=refs/heads/main", adding: place)
                #expect(open.status == 1 && open.errors.contains("422"), "\(open.summary)")
                #expect(try await call("trust", "remove", id, "--yes", adding: place).status == 0)
                #expect(try await json(call("trust", "list", "--json", adding: place)) == [])
            }
        }

        // MARK: Lists

        @Test("a list is whole, however many pages it has")
        func pages() async throws {
            try await withOrganization {
                try await Command(
                    [
                        "psql", "-v", "ON_ERROR_STOP=1", "-qc",
                        """
                        INSERT INTO projects (organization_id, public_id, name)
                        SELECT id, 'p' || lpad(n::text, 9, '0'), 'n' || lpad(n::text, 9, '0')
                        FROM organizations, generate_series(1, 1203) AS n WHERE slug = '\(organization)'
                        """, system.description.databaseUrl,
                    ]
                ).run()
                let ids = try await json(call("project", "list", "--json")).arrayValue?.compactMap {
                    $0["id"]?.stringValue
                }
                #expect(ids?.count == 1203 && Set(ids ?? []).count == 1203)
                let table = try await call("project", "list").text.split(separator: "\n")
                #expect(table.count == 1204 && table[0].hasPrefix("ID "))
            }
        }

        @Test("the audit log says who did what, as a table, as JSON, and as an export of one event a line")
        func audit() async throws {
            try await withOrganization {
                _ = try await call("project", "create", "shop")
                let events = try await json(call("audit", "--json")).arrayValue ?? []
                #expect(events.compactMap { $0["action"]?.stringValue } == ["organization.create", "project.create"])
                let lines = try await call("audit", "--org", organization, "--export").text.split(separator: "\n")
                let exported = try lines.map {
                    try BoundedJSON.parse(Array($0.utf8), limits: JSONLimits(bytesMax: 1 << 16))
                }
                #expect(exported == events)
                let table = try await call("audit")
                #expect(table.text.hasPrefix("AT ") && table.text.contains("project.create"))
            }
        }

        // MARK: Taking away

        @Test("what takes something away wants --yes where there is nobody to ask, and does nothing without it")
        func confirmation() async throws {
            try await withOrganization {
                let project = try line(await call("project", "create", "shop"))
                for arguments in [
                    ["project", "delete", project], ["org", "delete", organization], ["repo", "delete", "app"],
                    ["token", "revoke", "1"], ["user", "delete", "nobody"], ["user", "token", "revoke", "1"],
                    ["org", "member", "remove", "nobody"], ["trust", "remove", "1", "--project", project],
                ] {
                    let result = try await call(arguments, token: system.description.adminToken)
                    #expect(result.status == 2 && result.errors.contains("--yes"), "\(arguments): \(result.summary)")
                }
                #expect(try await call("project", "show", project).status == 0)
            }
        }

        @Test("at a terminal it asks, and takes nothing but yes for yes")
        func asking() async throws {
            try await withOrganization {
                let project = try line(await call("project", "create", "shop"))
                for (answer, status) in [("n", 1), ("", 1), ("y", 0)] as [(String, Int32)] {
                    let program = "\(RunningStack.programs)/depot-origin"
                    // script(1) is the terminal.
                    var command = Command([
                        "sh", "-c", "printf '%s\\n' \"$ANSWER\" | script -qec \"$CALL\" /dev/null",
                    ])
                    command.environment = environment(token: system.description.adminToken).merging([
                        "ANSWER": answer, "CALL": "\(program) project delete \(project)",
                    ]) { $1 }
                    let result = try await command.result()
                    #expect(result.status == status, "\(answer): \(result.summary)")
                    #expect(result.text.contains("delete project \(project)? [y/N]"), "\(result.text)")
                    #expect(try await call("project", "show", project).status == 1 - status)
                }
            }
        }

        @Test("a name that is the path of something else is refused before anything is asked of the origin")
        func dots() async throws {
            let result = try await call("project", "delete", "..", "--yes")
            #expect(result.status == 2 && result.errors.contains("\"..\""), "\(result.summary)")
        }

        @Test("a secret that cannot be written is an error")
        func fullDisk() async throws {
            try await withOrganization {
                var command = Command([
                    "sh", "-c", "exec \"$0\" token create lost > /dev/full", "\(RunningStack.programs)/depot-origin",
                ])
                command.environment = environment(token: system.description.adminToken)
                let result = try await command.result()
                #expect(result.status == 1 && result.errors.contains("standard output"), "\(result.summary)")
            }
        }
    }
}
