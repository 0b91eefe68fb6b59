// SPDX-License-Identifier: Apache-2.0

package import Testing

/// Starts one system for a suite, and stops it after the suite's last test.
package struct StackTrait: SuiteTrait, TestScoping {
    let arguments: [String]
    let environment: [String: String]

    package func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let stack = try await RunningStack.up(arguments, environment: environment)
        do {
            try await RunningStack.$current.withValue(stack) { try await function() }
        } catch {
            try? await stack.down()
            throw error
        }
        try await stack.down()
    }
}

extension Trait where Self == StackTrait {
    /// A system of its own for this suite and all suites inside it: `currentStack()` returns it.
    package static func stack(
        edges: Int = 2, origins: Int = 1, hasTLS: Bool = false, environment: [String: String] = [:]
    ) -> StackTrait {
        let shape = ["--edges", "\(edges)", "--origins", "\(origins)"]
        return StackTrait(arguments: shape + (hasTLS ? ["--tls"] : []), environment: environment)
    }
}

/// The system of the suite that the calling test belongs to.
/// - Throws: An expectation failure outside a suite with the trait `.stack(…)`.
package func currentStack() throws -> RunningStack {
    try #require(RunningStack.current, "the suite needs the trait .stack(…)")
}
