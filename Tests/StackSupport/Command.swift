// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Glibc

/// How a command ended and what it wrote.
package struct CommandResult: Sendable {
    package let status: Int32
    package let output: Data
    package let errors: String

    package var text: String { String(decoding: output, as: UTF8.self) }

    /// The last lines that the command wrote to either stream, for the message of a failed expectation.
    package var summary: String {
        (text + errors).split(separator: "\n").suffix(12).joined(separator: "\n")
    }
}

/// A command failed that a test needs to go on.
package struct CommandFailure: Error, CustomStringConvertible {
    package let command: String
    package let result: CommandResult

    package init(command: String, result: CommandResult) {
        self.command = command
        self.result = result
    }

    package var description: String { "\(command) ended with \(result.status):\n\(result.summary)" }
}

/// A system call of the test support itself failed.
package struct SystemFailure: Error, CustomStringConvertible {
    package let description: String
}

/// A program with its arguments. Every run has a time limit, after which it and its children are killed.
package struct Command: Sendable {
    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String?
    package var limit: Duration

    /// - Parameters:
    ///   - arguments: The program, found in PATH, and its arguments.
    ///   - environment: Added to the environment of the tests.
    package init(
        _ arguments: [String], environment: [String: String] = [:], in directory: String? = nil,
        limit: Duration = .seconds(120)
    ) {
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
        self.limit = limit
    }

    /// Runs to the end. A non-zero status is a result; one of 124 or 137 means that the limit passed.
    package func result() async throws -> CommandResult {
        try await start().result()
    }

    /// Runs to the end and returns what it wrote.
    /// - Throws: `CommandFailure` on any other status than 0.
    @discardableResult
    package func run() async throws -> CommandResult {
        let result = try await result()
        guard result.status == 0 else {
            throw CommandFailure(command: arguments.joined(separator: " "), result: result)
        }
        return result
    }

    /// Starts the command and returns at once.
    package func start() throws -> RunningCommand {
        try RunningCommand(self)
    }
}

/// A started command. It ends by itself, at its limit, or by `stop()`.
package final class RunningCommand: Sendable {
    private let child: ChildProcess
    private let files: ScratchDirectory

    fileprivate init(_ command: Command) throws {
        files = try ScratchDirectory("command")
        let environment = ProcessInfo.processInfo.environment.merging(command.environment) { $1 }
        let folder = command.directory ?? FileManager.default.currentDirectoryPath
        child = try ChildProcess(
            // timeout(1) leads a process group and signals all of it, so that no grandchild stays behind.
            "/usr/bin/timeout",
            ["--kill-after=10", "\(command.limit.components.seconds)", "env", "--chdir", folder] + command.arguments,
            environment: environment.map { "\($0.key)=\($0.value)" },
            // Files, not pipes: nobody has to read while the command runs, however much it writes.
            output: files.path("output"), errors: files.path("errors"))
    }

    package var isRunning: Bool { child.isRunning }

    /// What the command has written to its standard output by now.
    package func outputSoFar() throws -> Data { try Data(contentsOf: files.url("output")) }

    /// Waits for the end, which the limit bounds.
    package func result() async throws -> CommandResult {
        let status = await onThread { [child] in child.wait() }
        return CommandResult(
            status: status,
            output: try Data(contentsOf: files.url("output")),
            errors: String(decoding: try Data(contentsOf: files.url("errors")), as: UTF8.self))
    }

    /// Asks the command to end with SIGTERM and waits for that.
    @discardableResult
    package func stop() async throws -> CommandResult {
        child.send(SIGTERM)
        return try await result()
    }
}

/// Whether a program is in PATH.
package func isInstalled(_ program: String) -> Bool {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
}
