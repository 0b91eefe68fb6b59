// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Standard input, output and error. All of it blocks, as a command does that has nothing else to do.
enum StandardStreams {
    private static let chunkBytes = 4096

    static var isInputTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    /// A result.
    /// - Throws: `CommandFailure` if it cannot be written: a secret that is shown once must not get lost unnoticed.
    static func write(_ text: String) throws(CommandFailure) {
        guard send(text, to: STDOUT_FILENO) else {
            throw .failed("standard output cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// A line for the person at the terminal; nothing where standard error is none.
    static func tell(_ line: String) {
        guard isatty(STDERR_FILENO) == 1 else { return }
        _ = send(line + "\n", to: STDERR_FILENO)
    }

    /// - Returns: The answer, without its line end; `nil` at the end of the input.
    static func ask(_ question: String) -> String? {
        _ = send(question, to: STDERR_FILENO)
        return readLine()
    }

    /// As `ask`, and nothing that is typed is shown.
    /// - Throws: `CommandFailure` if the terminal cannot be told so, or Ctrl-C is typed.
    static func askSecretly(_ question: String) throws(CommandFailure) -> String {
        var shown = termios()
        guard tcgetattr(STDIN_FILENO, &shown) == 0 else { throw .failed("standard input is no terminal") }
        var hidden = shown
        // Ctrl-C is read like any key: as a signal, it would leave a terminal behind that shows nothing.
        hidden.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        guard tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0 else {
            throw .failed("the terminal does not stop to show what is typed")
        }
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            _ = send("\n", to: STDERR_FILENO)
        }
        _ = send(question, to: STDERR_FILENO)
        var typed: [UInt8] = []
        var key: UInt8 = 0
        while read(STDIN_FILENO, &key, 1) == 1 {
            switch key {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"), 0x04: return String(decoding: typed, as: UTF8.self)
            case 0x03: throw .failed("nothing was done")
            case 0x08, 0x7F: _ = typed.popLast()
            default: if typed.count < chunkBytes { typed.append(key) }
            }
        }
        return String(decoding: typed, as: UTF8.self)
    }

    /// What is left of standard input.
    /// - Throws: `CommandFailure` if it cannot be read, or is more than `bytesMax`.
    static func readInput(bytesMax: Int) throws(CommandFailure) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: chunkBytes)
        while content.count <= bytesMax {
            let count = read(STDIN_FILENO, &chunk, chunkBytes)
            guard count >= 0 else {
                throw .failed("standard input cannot be read: \(String(cString: strerror(errno)))")
            }
            if count == 0 { return content }
            content += chunk[..<count]
        }
        throw .failed("standard input is longer than \(bytesMax) bytes")
    }

    /// - Returns: Whether all of it was written; `errno` says why not.
    private static func send(_ text: String, to descriptor: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
