// SPDX-License-Identifier: Apache-2.0

import CLinux
import Disk
import Glibc

/// A program that outlives this process if need be, and shares nothing with it but what is passed.
///
/// Its working directory is `/`, and the directory it works on is descriptor 3: `initdb` and `postgres` then need no
/// right to pass through the directories above, which may be root's alone (mode 0700). A relative path would not do:
/// up to version 15 they go back to their working directory by its full path.
struct ChildProcess {
    let id: pid_t

    /// The passed directory, as a path for the child.
    static let directoryPath = "/proc/self/fd/3"

    /// - Parameters:
    ///   - command: Absolute path of the program, and its arguments.
    ///   - directory: An open directory.
    ///   - input: A file for standard input.
    ///   - output: Standard output and error.
    static func spawn(
        _ command: [String],
        directory: File,
        input: File,
        output: File
    ) throws(PrivatePostgresError) -> ChildProcess {
        let program = command.first ?? ""
        // The child's own numbers are 0 to 3; a source among them would be overwritten before it is used.
        let sources = [directory, input, output].map { fcntl($0.descriptor, F_DUPFD_CLOEXEC, 4) }
        defer { for source in sources where source >= 0 { close(source) } }
        guard !sources.contains(-1) else { throw failed(program, errno) }
        var id = pid_t()
        let status = withCStrings(command) { arguments in
            withCStrings(["PATH=/usr/bin:/bin", "LC_ALL=C"]) { environment in
                clinux_spawn(&id, program, arguments, environment, sources[0], sources[1], sources[2])
            }
        }
        guard status == 0 else { throw failed(program, status) }
        return ChildProcess(id: id)
    }

    /// The exit status (128 + signal for a killed one) if the child has ended; `nil` while it runs, and for a process
    /// that is not this one's child.
    func exitStatus() -> Int32? {
        var status: Int32 = 0
        guard waitpid(id, &status, WNOHANG) == id else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }

    /// Waits for the child to end; kills it at the deadline.
    func waitForExit(until deadline: ContinuousClock.Instant) -> Int32 {
        while true {
            if let status = exitStatus() { return status }
            if ContinuousClock.now >= deadline { kill(id, SIGKILL) }
            usleep(10_000)
        }
    }

    private static func failed(_ program: String, _ code: Int32) -> PrivatePostgresError {
        PrivatePostgresError(.startFailed, "cannot run \(program): \(String(cString: strerror(code)))")
    }

    /// A NULL-terminated array of C strings, valid during the call.
    private static func withCStrings<Value>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
