// SPDX-License-Identifier: Apache-2.0

import Foundation
import OriginCommandLine
import Testing

/// Where commands get their settings from.
@Suite struct CommandSettingsTests {
    private let home = FileManager.default.temporaryDirectory.appending(path: "depot-settings-\(UUID().uuidString)")

    private var path: String { home.path + "/depot-registry/config.json" }

    private func settings(_ environment: [String: String] = [:]) -> CommandSettings {
        CommandSettings(environment: environment.merging(["XDG_CONFIG_HOME": home.path]) { $1 })
    }

    private func store(_ change: (inout StoredSettings) -> Void) throws {
        var stored = StoredSettings()
        change(&stored)
        try stored.write(path)
    }

    /// Calls `body` with a home of its own, which goes away afterwards.
    private func withHome(_ body: () throws -> Void) rethrows {
        defer { try? FileManager.default.removeItem(at: home) }
        try body()
    }

    private func permissions(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test("a flag comes before the environment, that before the stored settings, those before the default")
    func order() throws {
        try withHome {
            #expect(try settings().adminURL(flag: nil) == CommandSettings.defaultURL)
            #expect(try settings().organization(flag: nil) == nil)
            #expect(try settings().project(flag: nil) == nil)
            try store {
                $0.adminURL = "http://stored"
                $0.organization = "stored"
                $0.project = "stored"
            }
            #expect(try settings().adminURL(flag: nil) == "http://stored")
            #expect(try settings().organization(flag: nil) == "stored")
            #expect(try settings().project(flag: nil) == "stored")
            let set = settings([
                "DEPOT_ADMIN_URL": "http://set", "DEPOT_ORGANIZATION": "set", "DEPOT_PROJECT": "set",
            ])
            #expect(try set.adminURL(flag: nil) == "http://set")
            #expect(try set.organization(flag: nil) == "set")
            #expect(try set.project(flag: nil) == "set")
            #expect(try set.adminURL(flag: "https://given/") == "https://given")
            #expect(try set.organization(flag: "given") == "given")
            #expect(try set.project(flag: "given") == "given")
            #expect(try settings(["DEPOT_PROJECT": ""]).project(flag: nil) == "stored", "empty is not set")
        }
    }

    @Test("a URL of another scheme is a wrong call")
    func scheme() {
        let failure = #expect(throws: CommandFailure.self) { try settings().adminURL(flag: "ftp://registry") }
        #expect(failure?.exitCode == 2)
    }

    @Test("without a project, the call is wrong, and the ways to set one are named")
    func noProject() throws {
        let failure = #expect(throws: CommandFailure.self) { try settings().requiredProject(flag: nil) }
        let text = try #require(failure?.description)
        #expect(failure?.exitCode == 2)
        #expect(["--project", "DEPOT_PROJECT", path].allSatisfy(text.contains), "\(text)")
    }

    @Test("the token of the environment comes first; a stored one is for its own URL alone")
    func token() throws {
        try withHome {
            #expect(throws: CommandFailure.self) { try settings().token(for: "http://a") }
            try store {
                $0.adminURL = "http://a"
                $0.token = "stored-secret"
            }
            #expect(try settings().token(for: "http://a") == "stored-secret")
            #expect(try settings(["DEPOT_TOKEN": "set"]).token(for: "http://b") == "set")
            let failure = #expect(throws: CommandFailure.self) { try settings().token(for: "http://b") }
            #expect(failure?.exitCode == 2 && failure?.description.contains("stored-secret") == false)
        }
    }

    @Test("what is stored is for its owner's eyes, and comes back as it was")
    func stored() throws {
        try withHome {
            try store { $0.token = "secret" }
            #expect(try permissions(path) == 0o600)
            #expect(try permissions(home.path + "/depot-registry") == 0o700)
            var stored = try StoredSettings.read(path)
            #expect(stored.token == "secret" && stored.project == nil)
            stored.project = "p\"1"
            stored.token = nil
            try stored.write(path)
            #expect(try StoredSettings.read(path) == stored)
        }
    }

    @Test("settings that others may open are refused, with what to do", arguments: [0o640, 0o604, 0o620, 0o666])
    func openToOthers(mode: Int) throws {
        try withHome {
            try store { $0.token = "secret" }
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            let failure = #expect(throws: CommandFailure.self) { try settings().token(for: "http://a") }
            #expect(failure?.description.contains("chmod 600 \(path)") == true)
            // What needs nothing from the file does not fail by it.
            #expect(try settings(["DEPOT_TOKEN": "set"]).token(for: "http://a") == "set")
        }
    }

    @Test("a file that login did not write is refused", arguments: ["", "[]", "{", "token"])
    func otherFile(content: String) throws {
        try withHome {
            try store { $0.token = "secret" }
            // In place, so that the mode stays.
            let file = try FileHandle(forWritingTo: URL(filePath: path))
            try file.truncate(atOffset: 0)
            try file.write(contentsOf: Data(content.utf8))
            try file.close()
            #expect(throws: CommandFailure.self) { try StoredSettings.read(path) }
        }
    }

    @Test(
        "the file is where the XDG rules say",
        arguments: [
            (["XDG_CONFIG_HOME": "/x", "HOME": "/h"], "/x/depot-registry/config.json"),
            (["XDG_CONFIG_HOME": "", "HOME": "/h"], "/h/.config/depot-registry/config.json"),
            (["XDG_CONFIG_HOME": "relative", "HOME": "/h"], "/h/.config/depot-registry/config.json"),
            (["HOME": "/h"], "/h/.config/depot-registry/config.json"), ([:], nil), (["HOME": ""], nil),
        ] as [([String: String], String?)])
    func place(environment: [String: String], path: String?) {
        #expect(StoredSettings.path(environment: environment) == path)
    }
}
