// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import OCI
import StackSupport
import Testing

/// Paths of the regular files below a folder.
struct FilesBelow: Sequence {
    private let root: String

    init(_ root: String) { self.root = root }

    func makeIterator() -> some IteratorProtocol<String> {
        let paths = (FileManager.default.enumerator(atPath: root)?.allObjects ?? []).compactMap { $0 as? String }
        return paths.lazy.map { "\(root)/\($0)" }.filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
        }.makeIterator()
    }
}

/// A file of a running program that a test damages behind the program's back, as a failing disk would.
struct StoredFile: Sendable {
    let path: String

    /// The complete blob in an edge's cache. The edge has it once it has served the last byte, or a moment later.
    static func complete(_ blob: TestBlob, at edge: StackDescription.Edge) async throws -> StoredFile {
        let name = "\(blob.digest.hex).\(blob.sizeBytes)"
        var found: StoredFile?
        try await waitUntil("\(edge.name) commits \(name)", within: .seconds(10)) {
            found = FilesBelow("\(edge.cache)/c").first { $0.hasSuffix(name) }.map(StoredFile.init)
            return found != nil
        }
        return try #require(found)
    }

    /// The data of a blob that an edge has a part of.
    static func partial(_ blob: TestBlob, at edge: StackDescription.Edge) throws -> StoredFile {
        let name = "\(blob.digest.hex).\(blob.sizeBytes).data"
        return StoredFile(path: try #require(FilesBelow("\(edge.cache)/p").first { $0.hasSuffix(name) }))
    }

    /// The blob's file at the origin, whose name says nothing: found by its content.
    static func origin(_ blob: TestBlob, of stack: RunningStack) throws -> StoredFile {
        let path = FilesBelow("\(stack.path)/origin-1").first { path in
            guard let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int,
                size == blob.sizeBytes, let data = FileManager.default.contents(atPath: path)
            else { return false }
            return blob.contains([UInt8](data))
        }
        return StoredFile(path: try #require(path, "the origin has a file of the blob"))
    }

    enum Temperature: String, Sendable, CaseIterable {
        /// The changed page stays in memory.
        case warm
        /// The change reaches the disk and the pages leave memory: the next read is of the disk.
        case cold
    }

    /// Turns one bit over.
    func flip(at offset: Int, _ temperature: Temperature) throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0, "open \(path)")
        defer { close(descriptor) }
        var byte: UInt8 = 0
        try #require(pread(descriptor, &byte, 1, off_t(offset)) == 1)
        byte ^= 1
        try #require(pwrite(descriptor, &byte, 1, off_t(offset)) == 1)
        if temperature == .cold {
            try #require(fsync(descriptor) == 0)
            try #require(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
        }
    }

    func truncate(to sizeBytes: Int) throws {
        try #require(Glibc.truncate(path, off_t(sizeBytes)) == 0, "truncate \(path)")
    }
}
