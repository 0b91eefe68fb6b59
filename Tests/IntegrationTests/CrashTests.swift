// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

extension Integration {
    /// What a crash leaves behind: nothing of the memory, unless the operator wants it.
    @Suite("Crashes", .enabled(if: CrashingProgram.machineWritesCoreFiles))
    struct Crashes {
        /// The setting, and whether there is a core file.
        static let settings = [("off", false), ("on", true)]

        @Test("an origin that crashes writes a core file only where that is allowed", arguments: settings)
        func origin(setting: String, hasWrittenCore: Bool) async throws {
            try await withOwnDatabase { _, database in
                let scratch = try ScratchDirectory("origin-crash")
                try await expectCrash(
                    [
                        "depot-origin", "serve", "--data-directory", scratch.path("data"), "--listen", "127.0.0.1:0",
                        "--admin-listen", "127.0.0.1:0", "--database-url", database,
                    ], setting, hasWrittenCore)
            }
        }

        @Test("an edge that crashes writes a core file only where that is allowed", arguments: settings)
        func edge(setting: String, hasWrittenCore: Bool) async throws {
            try await withOwnStack(edges: 0) { stack in
                let made = try await AdminClient(System(stack)).done(
                    "POST", "edges", ["name": "crash", "region": "eu", "url": "http://127.0.9.9:9"])
                let scratch = try ScratchDirectory("edge-crash")
                let credential = try #require(made["credential"]?.stringValue)
                try Data(credential.utf8).write(to: scratch.url("credential"))
                try await expectCrash(
                    [
                        "depot-edge", "serve", "--cache-directory", scratch.path("cache"), "--credential-file",
                        scratch.path("credential"), "--listen", "127.0.9.9:0", "--admin-listen", "127.0.9.9:0",
                    ], setting, hasWrittenCore)
            }
        }

        private func expectCrash(_ program: [String], _ setting: String, _ hasWrittenCore: Bool) async throws {
            try await CrashingProgram.run(program, environment: ["DEPOT_CORE_FILES": setting]) { program, _ in
                let end = try await program.crash()
                #expect(end.hasWrittenCore == hasWrittenCore)
                #expect(!end.log.contains("Registers:"), "memory in the log: \(end.log)")
            }
        }
    }
}
