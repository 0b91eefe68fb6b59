// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

@Suite("Failpoints")
struct FailpointsTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("the Nth call fails with the error asked for, once; calls elsewhere do not count")
    func count() async throws {
        let other = try TemporaryDirectory()
        let elsewhere = try File.open(other.file("a"), .createExclusive)
        let file = try File.open(directory.file("a"), .createExclusive)
        try await Failpoints.shared.withRules("pwrite:2:error=ENOSPC", below: directory.path) {
            try file.write([1], at: 0)
            try elsewhere.write([1], at: 0)
            #expect(throws: DiskError(call: "pwrite", path: file.path, errno: ENOSPC)) { try file.write([2], at: 0) }
            try file.write([3], at: 0)
        }
        #expect(try file.bytes(9, at: 0) == [3])
    }

    @Test("fsync counts fdatasync too, and several rules each keep their own count")
    func several() async throws {
        let file = try File.open(directory.file("a"), .createExclusive)
        try await Failpoints.shared.withRules("fsync:2:error=EIO,unlink:1:error=EIO", below: directory.path) {
            try file.syncData()
            #expect(throws: DiskError(call: "fsync", path: directory.path, errno: EIO)) {
                try Directory.sync(directory.path)
            }
            try file.syncData()
            #expect(throws: DiskError(call: "unlink", path: file.path, errno: EIO)) { try Directory.remove(file.path) }
        }
        try Directory.remove(file.path)
    }

    @Test("the rule ends with its scope")
    func scope() async throws {
        try await Failpoints.shared.withRules("open:1:error=EIO", below: directory.path) {}
        _ = try File.open(directory.file("a"), .createExclusive)
    }

    @Test("kill ends the process before the call is made")
    func kill() async throws {
        let path = directory.file("a")
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let file = try File.open(path, .createExclusive)
            try await Failpoints.shared.withRules("pwrite:2:kill", below: path) {
                try file.write([1], at: 0)
                try file.write([2], at: 0)
            }
        }
        #expect(try File.open(path, .read).bytes(9, at: 0) == [1])
    }

    @Test("the environment's rules act in a process started with them")
    func environment() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            // Set before the first call of this process reads it.
            setenv("DEPOT_FAILPOINT", "statvfs:2:error=EIO,statvfs:3:kill", 1)
            _ = try Directory.freeBytes("/")
            #expect(throws: DiskError(call: "statvfs", path: "/", errno: EIO)) { try Directory.freeBytes("/") }
            _ = try Directory.freeBytes("/")
        }
    }

    @Test(
        "a malformed environment stops the process at its first call",
        arguments: [
            "fsync", "fsync:1", "fsync:0:kill", "fsync:-1:kill", "fsync:x:kill", "write:1:kill", "fsync:1:error=EPERM",
            "fsync:1:kill,", "fsync:1:kill:",
        ]
    )
    func malformed(text: String) async throws {
        await #expect(processExitsWith: .exitCode(2)) { [text = text as String] in
            setenv("DEPOT_FAILPOINT", text, 1)
            _ = try Directory.freeBytes("/")
        }
    }
}
