// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Synchronization
import Testing

/// A wall clock for one program that a test can set: a library to preload, which adds an offset to what the kernel says.
/// Clocks that are never set are left alone, as setting a machine's clock would leave them.
struct ShiftedClock {
    /// `clang` comes with the Swift toolchain, and builds the C parts of this package, too.
    private static let library = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/time.h>
        #include <time.h>

        static volatile const long *offset;

        __attribute__((constructor)) static void open_offset(void) {
            const char *path = getenv("DEPOT_TEST_CLOCK_OFFSET");
            int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
            if (page != MAP_FAILED) offset = page;
        }

        int clock_gettime(clockid_t clock, struct timespec *time) {
            static int (*next)(clockid_t, struct timespec *);
            if (!next) next = dlsym(RTLD_NEXT, "clock_gettime");
            int result = next(clock, time);
            if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                time->tv_sec += *offset;
            return result;
        }

        int gettimeofday(struct timeval *restrict now, void *restrict zone) {
            struct timespec time;
            int result = clock_gettime(CLOCK_REALTIME, &time);
            now->tv_sec = time.tv_sec;
            now->tv_usec = time.tv_nsec / 1000;
            return result;
        }

        time_t time(time_t *out) {
            struct timespec time;
            clock_gettime(CLOCK_REALTIME, &time);
            if (out) *out = time.tv_sec;
            return time.tv_sec;
        }
        """

    private let directory: ScratchDirectory

    init() async throws {
        directory = try ScratchDirectory("clock")
        try Data(Self.library.utf8).write(to: directory.url("clock.c"))
        try await Command(
            ["clang", "-shared", "-fPIC", "-O1", "-o", directory.path("clock.so"), directory.path("clock.c"), "-ldl"]
        ).run()
        try set(offsetSeconds: 0)
    }

    /// For the program.
    var environment: [String: String] {
        ["LD_PRELOAD": directory.path("clock.so"), "DEPOT_TEST_CLOCK_OFFSET": directory.path("offset")]
    }

    /// Of this much the program's clock is ahead, from now on.
    func set(offsetSeconds: Int) throws {
        let descriptor = open(directory.path("offset"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var offset = Int64(offsetSeconds)
        try #require(pwrite(descriptor, &offset, MemoryLayout<Int64>.size, 0) == MemoryLayout<Int64>.size)
    }
}

/// Raised once, for good.
final class Flag: Sendable {
    private let value = Atomic(false)
    var isUp: Bool { value.load(ordering: .acquiring) }
    func raise() { value.store(true, ordering: .releasing) }
}
