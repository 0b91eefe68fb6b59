// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// The files of `Deploy/` are what the programs and systemd understand.
@Suite(.serialized) struct DeployTests {
    private static let programs = ["depot-origin": "origin.conf", "depot-edge": "edge.conf"]

    @Test(
        "the sample configuration is taken, as it is and with every commented setting switched on", arguments: programs)
    func sampleConfiguration(program: String, file: String) async throws {
        let sample = try String(contentsOfFile: "\(RunningStack.repository)/Deploy/\(file)", encoding: .utf8)
        let everything = sample.split(separator: "\n").map { $0.hasPrefix("#DEPOT_") ? $0.dropFirst() : $0 }
        let scratch = try ScratchDirectory("deploy")
        for text in [sample, everything.joined(separator: "\n") + "\n"] {
            try Data(text.utf8).write(to: scratch.url(file))
            let result = try await check(program, scratch.path(file))
            #expect(result.status == 0, "\(result.summary)")
        }
        try Data((sample + "DEPOT_LISTEM=127.0.0.1:1\n").utf8).write(to: scratch.url(file))
        let misspelt = try await check(program, scratch.path(file))
        #expect(misspelt.status != 0 && misspelt.summary.contains("DEPOT_LISTEM"))
    }

    @Test(
        "systemd understands the unit", .enabled(if: isInstalled("systemd-analyze")), arguments: programs.keys.sorted())
    func unit(program: String) async throws {
        let unit = try String(contentsOfFile: "\(RunningStack.repository)/Deploy/\(program).service", encoding: .utf8)
        let scratch = try ScratchDirectory("unit")
        let installed = unit.replacingOccurrences(
            of: "ExecStart=/usr/bin/", with: "ExecStart=\(RunningStack.programs)/")
        try Data(installed.utf8).write(to: scratch.url("\(program).service"))
        let result = try await Command(["systemd-analyze", "verify", "--man=no", scratch.path("\(program).service")])
            .result()
        #expect(result.status == 0, "\(result.summary)")
        let complaints = result.errors.split(separator: "\n").filter { $0.contains("\(program).service") }
        #expect(complaints.isEmpty)
    }

    private func check(_ program: String, _ file: String) async throws -> CommandResult {
        return try await Command(["\(RunningStack.programs)/\(program)", "serve", "--config", file, "--check-config"])
            .result()
    }
}
