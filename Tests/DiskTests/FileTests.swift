// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

extension File {
    func write(_ bytes: [UInt8], at offset: Int64) throws {
        try bytes.withUnsafeBytes { try write($0, at: offset) }
    }

    func bytes(_ count: Int, at offset: Int64) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let readCount = try bytes.withUnsafeMutableBytes { try read(into: $0, at: offset) }
        return Array(bytes.prefix(readCount))
    }
}

@Suite("File")
struct FileTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("bytes written at an offset are read back; a read is short only at the end")
    func positional() throws {
        let file = try File.open(directory.file("a"), .createExclusive)
        try file.write([1, 2, 3, 4], at: 10)
        try file.syncData()
        #expect(try file.bytes(4, at: 10) == [1, 2, 3, 4])
        #expect(try file.bytes(2, at: 9) == [0, 1])
        #expect(try file.bytes(100, at: 12) == [3, 4])
        #expect(try file.bytes(1, at: 14) == [])
        #expect(try file.status().sizeBytes == 14)
        try file.truncate(to: 11)
        #expect(try file.bytes(100, at: 10) == [1])
    }

    @Test("each mode asks of the name what it says")
    func modes() throws {
        let path = directory.file("a")
        #expect(try File.openIfExists(path, .read) == nil)
        #expect(throws: DiskError(call: "open", path: path, errno: ENOENT)) { try File.open(path, .readWrite) }
        try File.open(path, .readWriteCreate).write([7], at: 0)
        #expect(try File.open(path, .readWriteCreate).bytes(9, at: 0) == [7])
        #expect(throws: DiskError(call: "open", path: path, errno: EEXIST)) { try File.open(path, .createExclusive) }
        let readOnly = try #require(try File.openIfExists(path, .read))
        #expect(throws: DiskError(call: "pwrite", path: path, errno: EBADF)) { try readOnly.write([1], at: 0) }
    }

    @Test("descriptors are closed with the last reference, and not inherited by children")
    func descriptors() throws {
        let path = directory.file("a")
        var file: File? = try File.open(path, .createExclusive)
        let link = "/proc/self/fd/\(try #require(file).descriptor)"
        #expect(target(of: link) == path)
        let flags = try String(contentsOf: "/proc/self/fdinfo/\(try #require(file).descriptor)")
        #expect(flags.contains("flags:\t02"), "O_CLOEXEC is 02000000: \(flags)")
        file = nil
        #expect(target(of: link) != path)
    }

    @Test("a negative offset is an error, not a trap")
    func negativeOffset() throws {
        let file = try File.open(directory.file("a"), .createExclusive)
        #expect(throws: DiskError.self) { try file.write([1], at: -1) }
        #expect(throws: DiskError.self) { try file.bytes(1, at: -1) }
        #expect(throws: DiskError.self) { try file.truncate(to: -1) }
    }

    @Test("the status tells permissions, names, and a change time that moves")
    func status() throws {
        let path = directory.file("a")
        let file = try File.open(path, .createExclusive)
        try file.setPermissions(0o604)
        let before = try file.status()
        #expect(before.permissions == 0o604)
        #expect(before.linkCount == 1)
        #expect(before.isRegularFile && !before.isDirectory)
        #expect(try FileStatus.of(path) == before)
        #expect(before.changeTime > 1_600_000_000_000_000_000)
        try Directory.remove(path)
        #expect(try file.status().linkCount == 0)
        #expect(try file.status().changeTime >= before.changeTime)
    }

    @Test("reserved space does not change the size")
    func reserve() throws {
        let file = try File.open(directory.file("a"), .createExclusive)
        try file.reserve(0..<1_000_000)
        try file.reserve(5..<5)
        let status = try file.status()
        #expect(status.sizeBytes == 0)
        #expect(status.allocatedBytes == 0 || status.allocatedBytes >= 1_000_000)
    }

    @Test("the error's text names call, path, cause, and remedy")
    func errorText() {
        let full = DiskError(call: "pwrite", path: "/data/x", errno: ENOSPC)
        #expect(full.description == "pwrite(/data/x): No space left on device; free space on this file system")
        #expect(full.kind == .outOfSpace)
        #expect(DiskError(call: "open", path: "/x", errno: EISDIR).description == "open(/x): Is a directory")
    }

    @Test(
        "every errno has a kind",
        arguments: [
            (ENOENT, DiskError.Kind.notFound), (ENOTDIR, .notFound), (EEXIST, .exists), (ENOSPC, .outOfSpace),
            (EDQUOT, .outOfSpace), (EIO, .io), (EACCES, .permission), (EPERM, .permission), (EROFS, .permission),
            (EINVAL, .other),
        ]
    )
    func kinds(errno: Int32, kind: DiskError.Kind) {
        #expect(DiskError(call: "open", path: "/x", errno: errno).kind == kind)
    }

    private func target(of link: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(link, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension String {
    /// A whole small file; `/proc` files have no size.
    fileprivate init(contentsOf path: String) throws {
        self.init(decoding: try AtomicFile.read(path, bytesMax: 4096) ?? [], as: UTF8.self)
    }
}
