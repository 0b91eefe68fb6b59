// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport

/// A system for one test that breaks it.
func withOwnStack(
    edges: Int, _ arguments: [String] = [], runner: [String] = [], environment: [String: String] = [:],
    _ body: (RunningStack) async throws -> Void
) async throws {
    let stack = try await RunningStack.up(
        ["--edges", "\(edges)"] + arguments, runner: runner, environment: environment)
    do {
        try await body(stack)
    } catch {
        try? await stack.down()
        throw error
    }
    try await stack.down()
}

/// A database server of one test's own, run by `depot-origin database`.
/// - Parameter body: Gets the server and its URL.
func withOwnDatabase(_ body: (_ server: RunningCommand, _ url: String) async throws -> Void) async throws {
    struct Announcement: Decodable { let database_url: String }
    let scratch = try ScratchDirectory("database")
    let server = try Command(
        ["\(RunningStack.programs)/depot-origin", "database", "--dir", scratch.path("cluster")], limit: .seconds(170)
    ).start()
    let ended: CommandResult
    do {
        var url: String?
        try await waitUntil("the database announces its URL", within: .seconds(60)) {
            url = try? JSONDecoder().decode(Announcement.self, from: server.outputSoFar()).database_url
            return url != nil
        }
        if let url { try await body(server, url) }
        ended = try await server.stop()
    } catch {
        _ = try? await server.stop()
        throw error
    }
    guard ended.status == 0 else { throw CommandFailure(command: "depot-origin database", result: ended) }
}

extension ObservedProcess {
    /// The command that started the process.
    func commandLine() throws -> [String] {
        try String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)
            .split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
}
