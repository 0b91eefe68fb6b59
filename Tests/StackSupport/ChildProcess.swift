// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Synchronization

/// A child process in a process group of its own, with no signal blocked or ignored.
///
/// Foundation's `Process` passes on the signal mask of the calling thread, and threads of Dispatch block nearly all
/// signals: children would not hear SIGTERM, nor would anything that they start.
final class ChildProcess: Sendable {
    let pid: pid_t
    private let ended = DispatchGroup()
    private let status: Mutex<Int32> = .init(0)

    /// - Parameters:
    ///   - output, errors: Paths of files to be created.
    ///   - environment: All of it, as `NAME=value`.
    init(
        _ program: String, _ arguments: [String], environment: [String], output: String, errors: String
    ) throws {
        var attributes = posix_spawnattr_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawnattr_init(&attributes)
        posix_spawn_file_actions_init(&actions)
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))

        let create = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, create, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, create, 0o600)

        var pid: pid_t = 0
        let failure = withStrings([program] + arguments) { words in
            withStrings(environment) { variables in
                posix_spawn(&pid, program, &actions, &attributes, words, variables)
            }
        }
        guard failure == 0 else {
            throw SystemFailure(description: "spawn \(program): \(String(cString: strerror(failure)))")
        }
        self.pid = pid
        ended.enter()
        // Not a queue: this thread does nothing but wait, for as long as the child lives.
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<ChildProcess>.fromOpaque(pointer!).takeRetainedValue().awaitEnd()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        pthread_detach(thread)
    }

    var isRunning: Bool { ended.wait(timeout: .now()) == .timedOut }

    /// Blocks until the child has ended.
    /// - Returns: Its exit status; 128 + the signal's number if a signal ended it.
    func wait() -> Int32 {
        ended.wait()
        let status = status.withLock { $0 }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }

    /// Sends a signal if the child still runs.
    func send(_ signal: Int32) {
        if isRunning { kill(pid, signal) }
    }

    private func awaitEnd() {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        self.status.withLock { $0 = status }
        ended.leave()
    }
}

/// Calls `body` with a NULL-terminated array of C strings.
private func withStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
