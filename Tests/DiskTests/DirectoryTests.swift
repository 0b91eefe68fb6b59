// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Testing

@Suite("Directory")
struct DirectoryTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("missing parents are made; a second call changes nothing")
    func create() throws {
        let path = directory.file("a/b/c")
        #expect(try Directory.create(path, permissions: 0o700))
        #expect(try FileStatus.of(path)?.isDirectory == true)
        #expect(try FileStatus.of(directory.file("a"))?.permissions == 0o700)
        #expect(try !Directory.create(path, permissions: 0o750))
        #expect(try FileStatus.of(path)?.permissions == 0o700)
    }

    @Test("a file in the place of a directory is an error")
    func createOverFile() throws {
        let path = directory.file("a")
        _ = try File.open(path, .createExclusive)
        #expect(throws: DiskError(call: "mkdir", path: path, errno: EEXIST)) { try Directory.create(path) }
        #expect(throws: DiskError(call: "mkdir", path: path + "/b", errno: ENOTDIR)) {
            try Directory.create(path + "/b")
        }
    }

    @Test("entries names everything once, without the dots")
    func entries() throws {
        for number in 0..<300 { _ = try File.open(directory.file("\(number)"), .createExclusive) }
        var names: [String] = []
        try Directory.entries(directory.path) { names.append($0) }
        #expect(names.count == 300)
        #expect(Set(names) == Set((0..<300).map(String.init)))
        #expect(throws: DiskError(call: "opendir", path: "/nowhere", errno: ENOENT)) {
            try Directory.entries("/nowhere") { _ in }
        }
    }

    @Test("removing what is not there is no error, removing a directory is")
    func remove() throws {
        let path = directory.file("a")
        _ = try File.open(path, .createExclusive)
        #expect(try Directory.exists(path))
        #expect(try Directory.remove(path))
        #expect(try !Directory.remove(path))
        #expect(try !Directory.exists(path))
        #expect(throws: DiskError.self) { try Directory.remove(directory.path) }
    }

    @Test("rename replaces, and its error names both paths")
    func rename() throws {
        let (old, new) = (directory.file("old"), directory.file("new"))
        try File.open(old, .createExclusive).write([1], at: 0)
        try File.open(new, .createExclusive).write([2], at: 0)
        try Directory.rename(old, new)
        try Directory.sync(directory.path)
        #expect(try File.open(new, .read).bytes(9, at: 0) == [1])
        #expect(throws: DiskError(call: "rename", path: "\(old) -> \(new)", errno: ENOENT)) {
            try Directory.rename(old, new)
        }
    }

    @Test("free space is positive and not above the total")
    func freeBytes() throws {
        let free = try Directory.freeBytes(directory.path)
        #expect(free.available > 0 && free.available <= free.total)
    }

    @Test(
        "the parent of a path",
        arguments: [
            ("/a/b", "/a"), ("/a", "/"), ("/", "/"), ("a", "."), ("a/b", "a"), ("/a//b//", "/a"), ("a/", "."),
            ("", "."),
        ]
    )
    func parent(path: String, parent: String) {
        #expect(Directory.parent(of: path) == parent)
    }
}
