// SPDX-License-Identifier: Apache-2.0

/// Why a command did not do its work: one line for standard error, and the exit code.
package struct CommandFailure: Error, CustomStringConvertible {
    package let description: String
    package let exitCode: Int32

    /// The call was right, but it failed: exit code 1.
    static func failed(_ text: String) -> CommandFailure { CommandFailure(description: text, exitCode: 1) }

    /// The call itself is wrong: exit code 2.
    static func usage(_ text: String) -> CommandFailure { CommandFailure(description: text, exitCode: 2) }
}
