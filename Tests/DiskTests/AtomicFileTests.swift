// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

@Suite("AtomicFile")
struct AtomicFileTests {
    let directory: TemporaryDirectory
    var path: String { directory.file("key") }

    init() throws { directory = try TemporaryDirectory() }

    private func names() throws -> [String] {
        var names: [String] = []
        try Directory.entries(directory.path) { names.append($0) }
        return names.sorted()
    }

    @Test("a file is written whole, replaced whole, with the permissions asked for, and nothing is left behind")
    func write() throws {
        #expect(try AtomicFile.read(path, bytesMax: 10) == nil)
        try AtomicFile.write([1, 2, 3], to: path, permissions: 0o600)
        #expect(try AtomicFile.read(path, bytesMax: 3) == [1, 2, 3])
        #expect(try FileStatus.of(path)?.permissions == 0o600)
        try AtomicFile.write([], to: path, permissions: 0o666)
        #expect(try AtomicFile.read(path, bytesMax: 3) == [])
        #expect(try FileStatus.of(path)?.permissions == 0o666, "regardless of the umask")
        #expect(try names() == ["key"])
    }

    @Test("create refuses a taken name and keeps its bytes")
    func create() throws {
        #expect(try AtomicFile.create([1], at: path))
        #expect(try !AtomicFile.create([2], at: path))
        #expect(try AtomicFile.read(path, bytesMax: 9) == [1])
        #expect(try names() == ["key"])
    }

    @Test("of many creators at once exactly one wins, and all read its bytes")
    func race() async throws {
        let path = path
        let outcomes = try await withThrowingTaskGroup { group in
            for number in 0..<16 {
                group.addTask {
                    let isWinner = try AtomicFile.create([UInt8](repeating: UInt8(number), count: 32), at: path)
                    return (isWinner: isWinner, bytes: try AtomicFile.read(path, bytesMax: 32))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter(\.isWinner).count == 1)
        #expect(Set(outcomes.map(\.bytes)).count == 1)
    }

    @Test("a file above the maximum is EFBIG")
    func tooLarge() throws {
        try AtomicFile.write([1, 2, 3], to: path)
        #expect(throws: DiskError(call: "read", path: path, errno: EFBIG)) { try AtomicFile.read(path, bytesMax: 2) }
    }

    @Test(
        "a failure at any step before the name changes keeps the old bytes and leaves no temporary file",
        arguments: ["open", "pwrite", "fchmod", "fsync", "rename"]
    )
    func failure(call: String) async throws {
        try AtomicFile.write([1], to: path)
        await #expect(throws: DiskError.self) {
            try await Failpoints.shared.withRules("\(call):1:error=EIO", below: directory.path) {
                try AtomicFile.write([2], to: path)
            }
        }
        #expect(try AtomicFile.read(path, bytesMax: 9) == [1])
        #expect(try names() == ["key"])
    }
}
