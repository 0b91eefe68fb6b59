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

extension ObservedProcess {
    /// The command that started the process.
    func commandLine() throws -> [String] {
        try String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)
            .split(separator: "\0", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
}
