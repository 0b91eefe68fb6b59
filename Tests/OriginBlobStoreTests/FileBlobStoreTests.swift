// SPDX-License-Identifier: Apache-2.0

import Disk
import Hashing
import OCI
import OriginBlobStore
import TestSupport
import Testing

/// A store in a directory of its own.
private struct StoreFixture {
    let directory: TemporaryDirectory
    let store: FileBlobStore

    init(reserveBytes: Int64 = 0) throws {
        directory = try TemporaryDirectory()
        store = try FileBlobStore(directory: directory.path, reserveBytes: reserveBytes)
    }

    func write(_ bytes: [UInt8], to file: any BlobFile, at offset: Int64 = 0) throws {
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
    }

    func read(_ blob: StoredBlob) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(blob.sizeBytes))
        _ = try bytes.withUnsafeMutableBytes { try blob.file.read(into: $0, at: 0) }
        return bytes
    }
}

@Suite struct FileBlobStoreTests {
    @Test("what was written and synced is read back under its key")
    func roundTrip() throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        let file = try fixture.store.create(key)
        try fixture.write(Array("hello".utf8), to: file)
        try file.syncForCommit(sizeBytes: 5)
        let blob = try #require(try fixture.store.open(key))
        #expect(blob.sizeBytes == 5)
        #expect(try fixture.read(blob) == Array("hello".utf8))
        #expect(try Directory.exists("\(fixture.directory.path)/blobs/\(key.text.prefix(2))/\(key.text)"))
    }

    @Test("a key that was never stored is absent, not an error")
    func absence() throws {
        let fixture = try StoreFixture()
        #expect(try fixture.store.open(.random()) == nil)
        try fixture.store.remove(.random())
    }

    @Test("a blob that is shorter than what was announced is not committed")
    func shortCommit() throws {
        let fixture = try StoreFixture()
        let file = try fixture.store.create(.random())
        try fixture.write([1, 2, 3], to: file)
        #expect { try file.syncForCommit(sizeBytes: 4) } throws: { ($0 as? BlobStoreError)?.kind == .damaged }
    }

    @Test("appending goes on where it was durable and drops what came after")
    func resume() throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        let first = try fixture.store.create(key)
        try fixture.write(Array("durable, lost".utf8), to: first)
        try first.syncDurablePoint()
        let second = try fixture.store.openForAppend(key, truncatingTo: 7)
        try fixture.write(Array("!".utf8), to: second, at: 7)
        try second.syncForCommit(sizeBytes: 8)
        let blob = try #require(try fixture.store.open(key))
        #expect(try fixture.read(blob) == Array("durable!".utf8))
    }

    @Test("a blob that lost synced bytes is damaged; one that never had any is made anew")
    func resumeOfMissing() throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        #expect { try fixture.store.openForAppend(key, truncatingTo: 1) } throws: {
            ($0 as? BlobStoreError)?.kind == .damaged
        }
        let file = try fixture.store.openForAppend(key, truncatingTo: 0)
        try file.syncForCommit(sizeBytes: 0)
        #expect(try fixture.store.open(key)?.sizeBytes == 0)
    }

    @Test("below the reserve new blobs are refused and reads go on")
    func reserve() throws {
        let fixture = try StoreFixture(reserveBytes: .max)
        #expect { try fixture.store.create(.random()) } throws: { ($0 as? BlobStoreError)?.kind == .outOfSpace }
        #expect(try fixture.store.open(.random()) == nil)
    }

    @Test("removing takes the blob and its piece list")
    func remove() throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        let file = try fixture.store.create(key)
        try file.appendPieces([UInt8](repeating: 7, count: 64), at: 0)
        try file.syncDurablePoint()
        try fixture.store.remove(key)
        #expect(try fixture.store.open(key) == nil)
        let digest = try #require(Digest(algorithm: .sha512, bytes: [UInt8](repeating: 0, count: 64)))
        #expect(try fixture.store.pieces(key, digest: digest, sizeBytes: 2 << 20) == nil)
    }
}

@Suite struct PieceListTests {
    private let digest = SHA256.hash(Array("content".utf8))

    @Test("a small blob under SHA-256 is its own piece list; an empty one has no pieces")
    func derived() throws {
        let fixture = try StoreFixture()
        let list = try #require(try fixture.store.pieces(.random(), digest: digest, sizeBytes: 7))
        #expect(list.rawDigests == digest.bytes)
        #expect(try fixture.store.pieces(.random(), digest: digest, sizeBytes: 0)?.count == 0)
    }

    @Test("larger blobs have a side file, appended in steps; a resumed upload cuts off what was not acknowledged")
    func sideFile() throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        let file = try fixture.store.create(key)
        try file.appendPieces([UInt8](repeating: 1, count: 32) + [UInt8](repeating: 2, count: 32), at: 0)
        try file.appendPieces([UInt8](repeating: 3, count: 32), at: 1)
        try file.syncDurablePoint()
        let list = try #require(try fixture.store.pieces(key, digest: digest, sizeBytes: 2 << 20))
        #expect(list.rawDigests == [UInt8](repeating: 1, count: 32) + [UInt8](repeating: 3, count: 32))
    }

    @Test("a list of the wrong length is damage, not absence", arguments: [1, 3])
    func wrongLength(pieceCount: Int) throws {
        let fixture = try StoreFixture()
        let key = BlobKey.random()
        try fixture.store.create(key).appendPieces([UInt8](repeating: 1, count: 32 * pieceCount), at: 0)
        #expect { try fixture.store.pieces(key, digest: digest, sizeBytes: 2 << 20) } throws: {
            ($0 as? BlobStoreError)?.kind == .damaged
        }
    }
}

@Suite struct BlobKeyTests {
    @Test("random keys are valid keys and differ")
    func random() {
        let key = BlobKey.random()
        #expect(BlobKey(key.text) == key)
        #expect(key != .random())
    }

    @Test(
        "nothing that could leave the directory is a key",
        arguments: ["", "../../../../etc/passwd000000000000", "ABCDEF00112233445566778899aabbcc", "abc"])
    func invalid(text: String) {
        #expect(BlobKey(text) == nil)
    }
}
