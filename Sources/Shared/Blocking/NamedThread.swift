// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One POSIX thread with a name that `top -H` and debuggers show.
struct NamedThread: @unchecked Sendable {
    // SAFETY: a pthread_t is an immutable handle; `join` is called at most once, by the owner that closes the pool.
    private let handle: pthread_t

    /// The kernel keeps 15 bytes of a thread's name.
    private static let nameBytesMax = 15

    /// Starts `body` on a new thread.
    /// - Parameters:
    ///   - name: Cut to 15 bytes.
    ///   - niceness: Added to that of the process, for this thread alone, as nice(2) does it on Linux.
    /// - Returns: `nil` when the system has no thread to give (EAGAIN).
    init?(name: String, niceness: Int32, body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, niceness: niceness, body: body))
        var handle = pthread_t()
        let status = pthread_create(
            &handle,
            nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                NamedThread.nameCurrent(start.name)
                if start.niceness > 0 { _ = nice(start.niceness) }
                start.body()
                return nil
            },
            start.toOpaque()
        )
        guard status == 0 else {
            start.release()
            return nil
        }
        self.handle = handle
    }

    /// Through procfs, as glibc does for other threads: `pthread_setname_np` hides behind _GNU_SOURCE, and this target
    /// needs no C of its own otherwise. A thread without a name works as well, so failures are ignored.
    private static func nameCurrent(_ name: String) {
        guard let file = fopen("/proc/thread-self/comm", "w") else { return }
        _ = Array(name.utf8.prefix(nameBytesMax)).withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
    }

    var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }

    /// Waits for the thread to end.
    func join() { pthread_join(handle, nil) }

    /// Lets the thread end on its own; nobody will join it.
    func detach() { pthread_detach(handle) }

    private final class Start: Sendable {
        let name: String
        let niceness: Int32
        let body: @Sendable () -> Void

        init(name: String, niceness: Int32, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.niceness = niceness
            self.body = body
        }
    }
}
