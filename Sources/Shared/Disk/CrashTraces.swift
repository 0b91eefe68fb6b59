// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a crash of this process leaves behind of its memory, and so of every secret in it.
package enum CrashTraces {
    /// What the Swift runtime prints a report at, with the memory that the registers point to.
    private static let reported = [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP]

    /// No core file is written of this process and those that it starts; nor does the Swift runtime print a report, unless
    /// `SWIFT_BACKTRACE` says how. Call first of all.
    package static func forbid() {
        // One byte, not none: where core files go to a program, the kernel heeds no other limit (core(5)).
        limitCoreFiles { _ in 1 }
        guard getenv("SWIFT_BACKTRACE") == nil else { return }
        for number in reported { signal(number, SIG_DFL) }
    }

    /// Core files are written as the system is set up: for who looks for a fault.
    package static func allowCoreFiles() { limitCoreFiles(\.rlim_max) }

    private static func limitCoreFiles(_ bytes: (rlimit) -> rlim_t) {
        let resource = __rlimit_resource_t(RLIMIT_CORE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = min(bytes(limit), limit.rlim_max)
        // Within the hard limit nobody is refused.
        _ = setrlimit(resource, &limit)
    }
}
