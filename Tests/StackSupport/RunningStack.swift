// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// A system started by `Scripts/stack` in a temporary folder. Tests get theirs by the trait `.stack(…)`.
package final class RunningStack: Sendable {
    @TaskLocal package static var current: RunningStack?

    /// The root of the checkout.
    package static let repository = #filePath.components(separatedBy: "/Tests/StackSupport/")[0]

    /// Folder of the programs under test: `DEPOT_TEST_PROGRAMS`, else those that were built with these tests. They are
    /// never built from here, because the package manager that runs the tests holds the lock of the build folder.
    package static let programs: String = {
        if let folder = ProcessInfo.processInfo.environment["DEPOT_TEST_PROGRAMS"] { return folder }
        #if DEBUG
            return "\(repository)/.build/debug"
        #else
            return "\(repository)/.build/release"
        #endif
    }()

    private let directory: ScratchDirectory
    private let arguments: [String]
    private let runner: [String]
    private let environment: [String: String]
    private let latest: Mutex<StackDescription?> = .init(nil)

    /// Starts a system. The caller calls `down()`.
    /// - Parameters:
    ///   - arguments: Of `Scripts/stack up`, such as `--edges 1`.
    ///   - runner: A command that runs the script, such as `unshare --user`.
    ///   - environment: `DEPOT_*` for all programs.
    package static func up(
        _ arguments: [String], runner: [String] = [], environment: [String: String] = [:]
    ) async throws -> RunningStack {
        let stack = RunningStack(try ScratchDirectory("stack"), arguments, runner, environment)
        do {
            try await stack.up()
        } catch {
            try? await stack.down()
            throw error
        }
        return stack
    }

    private init(
        _ directory: ScratchDirectory, _ arguments: [String], _ runner: [String], _ environment: [String: String]
    ) {
        self.directory = directory
        self.arguments = arguments
        self.runner = runner
        self.environment = environment
    }

    /// What runs now. It changes only by `up()`.
    package var description: StackDescription {
        guard let description = latest.withLock({ $0 }) else { preconditionFailure("`up` returned before") }
        return description
    }

    package var path: String { directory.path }

    /// Starts again what was killed, and waits until all of it is ready.
    /// - Parameter environment: In place of the one given at first, for what is started now.
    package func up(environment: [String: String]? = nil) async throws {
        let script = "\(Self.repository)/Scripts/stack"
        let result = try await Command(
            runner + [script, "up", "--dir", directory.path, "--programs", Self.programs] + arguments,
            environment: environment ?? self.environment, limit: .seconds(300)
        ).run()
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let description = try decoder.decode(StackDescription.self, from: result.output)
        latest.withLock { $0 = description }
    }

    /// Stops everything. The folder goes away with the last reference.
    package func down() async throws {
        try await Command(runner + ["\(Self.repository)/Scripts/stack", "down", "--dir", directory.path]).run()
    }
}
