// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging

/// What is said to whoever started the process, as opposed to its log.
enum StandardOutput {
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// One line, at once, also into a pipe.
    static func write(_ text: String) {
        print(text)
        fflush(nil)
    }
}

extension Logger {
    /// For libraries whose log lines say nothing to an operator.
    static var silent: Logger { Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() } }
}
