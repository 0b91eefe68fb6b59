// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration {
    /// An origin's first start where nobody watches.
    @Suite("First start")
    struct FirstStart {
        @Test(
            "with neither terminal nor file, a one-time token buys the first credentials, and the last administrator stays"
        )
        func oneTimeToken() async throws {
            try await withOwnDatabase { _, database in
                let scratch = try ScratchDirectory("first-start")
                let data = scratch.path("data")
                try await CrashingProgram.run([
                    "depot-origin", "serve", "--data-directory", data, "--listen", "127.0.0.1:0", "--admin-listen",
                    "127.0.0.1:0", "--database-url", database,
                ]) { origin, ports in
                    let admin = "http://\(ports["admin"]?.stringValue ?? "")"
                    let registry = try #require(Endpoint(url: "http://\(ports["listen"]?.stringValue ?? "")"))
                    func call(_ arguments: String...) async throws -> CommandResult {
                        try await Command(
                            ["\(RunningStack.programs)/depot-origin"] + arguments,
                            environment: [
                                "DEPOT_ADMIN_URL": admin, "DEPOT_TOKEN": "", "XDG_CONFIG_HOME": scratch.path("home"),
                            ]
                        ).result()
                    }
                    let file = data + "/bootstrap-token"
                    let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
                    #expect(mode == 0o600)
                    let wrong = scratch.path("wrong")
                    try Data("dpb_\(String(repeating: "A", count: 43))\n".utf8).write(to: URL(filePath: wrong))
                    #expect(try await call("login", "--bootstrap-token-file", wrong).status == 1)

                    // Twice, as if the first answer had been lost.
                    var answers: [JSONValue] = []
                    for _ in 0..<2 {
                        let login = try await call("login", "--json", "--bootstrap-token-file", file)
                        try #require(login.status == 0, "\(login.summary)")
                        answers.append(
                            try BoundedJSON.parse(Array(login.output), limits: JSONLimits(bytesMax: 4096)))
                    }
                    let answer = answers[0]
                    #expect(answers[1] == answer)
                    #expect(answer["user"] == "administrator" && answer["organization"] == "demo")
                    #expect(try await call("login", "--bootstrap-token-file", wrong).status == 1)
                    #expect(try await call("whoami").status == 0, "a failed login takes no stored token away")
                    let token = try #require(answer["organization_token"]?.stringValue)
                    let credential = Data("x-token:\(token)".utf8).base64EncodedString()
                    let base = HTTPRequest("GET", "/v2/", headers: [("Authorization", "Basic \(credential)")])
                    #expect(try await ask(registry, base).status == 200)

                    let last = try await call("user", "delete", "administrator", "--yes")
                    #expect(last.status == 1 && last.errors.contains("administrator"), "\(last.summary)")
                    #expect(try await call("whoami").status == 0)

                    try await waitUntil("the audit log has the wrong token") {
                        let log = try await call("audit", "--export").text.split(separator: "\n")
                        let events = log.filter { $0.contains(#""action":"deployment.bootstrap""#) }
                        #expect(events.filter { $0.contains(#""actor":"one-time token""#) }.count == 1)
                        return events.contains { $0.contains(#""outcome":"denied""#) }
                    }
                    let secrets = [
                        token, try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines),
                    ]
                    let log = try await origin.crash().log
                    #expect(!log.isEmpty)
                    for secret in secrets { #expect(!log.contains(secret.dropFirst(4))) }
                    #expect(!log.contains("dpu_"), "the administrator's token")
                }
            }
        }
    }
}
