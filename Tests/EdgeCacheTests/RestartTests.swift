// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import EdgeCache
import Foundation
import Hashing
import OCI
import Testing

@Suite("What a restart finds")
struct RestartTests {
    private let blob = TestBlob(byteCount: 4 << 20 | 99)

    @Test("a complete blob is found without an index, and each piece is checked before it is sent")
    func complete() async throws {
        let first = try CacheFixture()
        _ = try first.complete(blob)
        let second = try first.reopened()
        let cached = try #require(try await second.open(blob))
        #expect(cached.isComplete)
        #expect(try await second.read(cached) == blob.bytes)
        #expect(second.counter("depot_edge_checked_pieces_total") == blob.pieces.count)
    }

    @Test(
        "a partial blob goes on where it was, in the same run of the kernel and in another", arguments: [true, false])
    func partial(sameBoot: Bool) async throws {
        let first = try CacheFixture()
        _ = try first.partial(blob, pieces: [1, 3])
        let second = try first.reopened { if !sameBoot { $0.bootID = .random() } }
        let cached = try #require(try await second.open(blob))
        #expect(!cached.isComplete)
        #expect(cached.present.contains(1) && cached.present.contains(3) && cached.present.count == 2)
        #expect(try await second.read(blob.pieces.range(of: 3), of: cached) == Array(blob.piece(3)))
        #expect(second.counter("depot_edge_checked_pieces_total") == 1)
        for piece in [0, 2, 4] { _ = try second.store(blob, piece, in: cached) }
        second.cache.commit(cached)
        #expect(cached.isComplete)
        #expect(try await second.read(cached) == blob.bytes)
    }

    @Test("after a power cut, a piece that the map has and the disk lost does not become part of a complete blob")
    func powerCut() async throws {
        let first = try CacheFixture()
        _ = try first.partial(blob, pieces: [0, 1, 2, 3])
        try Intruder.overwrite(first.partialPath(blob, ".data"), [UInt8](repeating: 0, count: 1 << 20), at: 2 << 20)
        let second = try first.reopened { $0.bootID = .random() }
        let cached = try #require(try await second.open(blob))
        #expect(try second.store(blob, 4, in: cached) == .storedLast)
        second.cache.commit(cached)
        #expect(!cached.isComplete)
        #expect(!cached.present.contains(2))
        #expect(try second.store(blob, 2, in: cached) == .storedLast)
        second.cache.commit(cached)
        #expect(cached.isComplete)
        #expect(try await second.read(cached) == blob.bytes)
    }

    @Test("a blob whose pieces were all there before its rename is committed when it is opened")
    func unfinishedCommit() async throws {
        let first = try CacheFixture()
        _ = try first.partial(blob, pieces: Array(0..<blob.pieces.count))
        let second = try first.reopened()
        let cached = try #require(try await second.open(blob))
        await second.pool.finish()
        await second.cache.commits.finish()
        #expect(cached.isComplete)
        #expect(FileManager.default.fileExists(atPath: first.completePath(blob)))
        #expect(!FileManager.default.fileExists(atPath: first.partialPath(blob, ".map")))
    }

    @Test(
        "a damaged trailer or map, or half of a pair, is as good as no file, and is removed",
        arguments: ["trailer", "short", "map", "shortMap", "noMap", "empty"])
    func damaged(how: String) async throws {
        let first = try CacheFixture()
        let (data, map) = (first.partialPath(blob, ".data"), first.partialPath(blob, ".map"))
        _ = try first.partial(blob, pieces: [0])
        switch how {
        case "trailer": try Intruder.flip(data, at: blob.sizeBytes + 40)
        case "short": try File.open(data, .readWrite).truncate(to: blob.sizeBytes)
        case "map": try Intruder.flip(map, at: 20)
        case "shortMap": try File.open(map, .readWrite).truncate(to: 71)
        case "noMap": try Directory.remove(map)
        default: try File.open(data, .readWrite).truncate(to: 0)
        }
        let second = try first.reopened()
        #expect(try await second.open(blob) == nil)
        #expect(!FileManager.default.fileExists(atPath: data))
        #expect(try await second.read(second.complete(blob)) == blob.bytes)
    }

    @Test("a complete file with a damaged trailer, or under another blob's name, is as good as none")
    func misnamed() async throws {
        let first = try CacheFixture()
        let other = TestBlob(byteCount: blob.bytes.count)
        _ = try first.complete(blob)
        _ = try first.complete(other)
        try Directory.rename(first.completePath(other), first.completePath(blob))
        let second = try first.reopened()
        #expect(try await second.open(blob) == nil)
        #expect(!FileManager.default.fileExists(atPath: first.completePath(blob)))
    }

    @Test("the scan finds complete and partial blobs, sweeps halves, and leaves strange names alone")
    func scan() async throws {
        let first = try CacheFixture()
        let other = TestBlob(byteCount: 2 << 20, algorithm: .sha512)
        let orphan = TestBlob(byteCount: 100)
        _ = try first.complete(blob)
        _ = try first.partial(other, pieces: [0])
        _ = try first.partial(orphan)
        try Directory.remove(first.partialPath(orphan, ".data"))
        let strange = "\(first.directory)/c/\(blob.digest.hex.prefix(2))/notes.txt"
        try AtomicFile.write([1], to: strange)

        let second = try first.reopened()
        await second.cache.start()
        #expect(second.cache.blobCount == 2)
        #expect(second.cache.usedBytes >= blob.sizeBytes + 1 << 20)
        #expect(second.cache.usedBytes <= blob.sizeBytes + other.sizeBytes)
        #expect(!FileManager.default.fileExists(atPath: first.partialPath(orphan, ".map")))
        #expect(FileManager.default.fileExists(atPath: strange))
        #expect(try await second.open(other)?.present.count == 1)
    }

    @Test("a lower maximum evicts after the scan")
    func lowered() async throws {
        let first = try CacheFixture()
        for _ in 0..<4 { first.cache.release(try first.complete(TestBlob(byteCount: 1 << 20))) }
        let second = try first.reopened(bytesMax: 2 << 20)
        await second.cache.start()
        #expect(second.cache.usedBytes <= 2 << 20)
        #expect(second.cache.blobCount >= 1)
    }

    @Test("the order of the blobs outlives the process", arguments: [true, false])
    func hints(isDamaged: Bool) async throws {
        let first = try CacheFixture()
        let blobs = (0..<8).map { _ in TestBlob(byteCount: 1 << 20) }
        for blob in blobs { first.cache.release(try first.complete(blob)) }
        first.cache.writeHints()
        let file = "\(first.directory)/hints"
        if isDamaged { try Intruder.flip(file, at: 60) }
        try AtomicFile.write([1], to: "\(first.directory)/hints.1.2.tmp")
        let second = try first.reopened(bytesMax: 4 << 20)
        await second.cache.start()
        let left = blobs.filter { FileManager.default.fileExists(atPath: first.completePath($0)) }.map(\.digest)
        #expect(left.count == 4)
        if !isDamaged { #expect(left == blobs.suffix(4).map(\.digest)) }
        #expect(!FileManager.default.fileExists(atPath: "\(first.directory)/hints.1.2.tmp"))
    }

    @Test("twenty thousand names are found, with what was used meanwhile among them")
    func manyNames() async throws {
        let first = try CacheFixture()
        first.cache.release(try first.complete(blob))
        var expectedBytes = blob.sizeBytes
        for number in 0..<20_000 {
            let digest = SHA256.hash(Array("\(number)".utf8)).hex
            let folder = "\(first.directory)/c/\(digest.prefix(2))"
            if !FileManager.default.fileExists(atPath: folder) { try Directory.create(folder) }
            _ = try File.open("\(folder)/\(digest).\(number)", .createExclusive)
            expectedBytes += Int64(number)
        }
        let second = try first.reopened(bytesMax: 1 << 40)
        async let scan: Void = second.cache.start()
        let cached = try #require(try await second.open(blob))
        #expect(try await second.read(cached) == blob.bytes)
        await scan
        #expect(second.cache.blobCount == 20_001)
        #expect(second.cache.usedBytes == expectedBytes)
        #expect(second.counter("depot_edge_cache_blobs") == 20_001)
    }

    @Test("a blob of no bytes has a file like any other")
    func empty() async throws {
        let first = try CacheFixture()
        let empty = TestBlob(byteCount: 0)
        // Complete from the start, so the cache commits it by itself.
        let made = try first.partial(empty)
        #expect(await eventually { made.isComplete })
        let cached = try #require(try await first.reopened().open(empty))
        #expect(cached.isComplete && cached.pieces.count == 0)
    }
}
