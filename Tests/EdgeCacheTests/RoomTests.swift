// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import EdgeCache
import Foundation
import Glibc
import Hashing
import Testing

@Suite("Room in the cache")
struct RoomTests {
    private let pieceBytes = 1 << 20

    @Test("what is not in use makes room, what is open or being filled stays")
    func eviction() async throws {
        let fixture = try CacheFixture(bytesMax: 6 << 20)
        let idle = TestBlob(byteCount: 2 * pieceBytes)
        let used = TestBlob(byteCount: 2 * pieceBytes)
        let filling = TestBlob(byteCount: 4 * pieceBytes)
        fixture.cache.release(try fixture.complete(idle))
        let open = try fixture.complete(used)
        let partial = try fixture.partial(filling, pieces: [0, 1])
        #expect(try fixture.store(filling, 2, in: partial) == .stored)
        #expect(await eventually { !FileManager.default.fileExists(atPath: fixture.completePath(idle)) })
        #expect(try fixture.store(filling, 3, in: partial) == .storedLast)
        #expect(fixture.cache.usedBytes == 6 << 20)
        #expect(try await fixture.read(open) == used.bytes)
        #expect(try await fixture.read(partial) == filling.bytes)
        let third = TestBlob(byteCount: pieceBytes)
        #expect(throws: CacheError.self) { try fixture.partial(third, pieces: [0]) }
        fixture.cache.release(open)
        #expect(try fixture.store(third, 0, in: fixture.partial(third)) == .storedLast)
        #expect(await eventually { !FileManager.default.fileExists(atPath: fixture.completePath(used)) })
        #expect(await eventually { fixture.counter("depot_edge_evicted_blobs_total") == 2 })
    }

    @Test("a blob evicted while it is cached open is opened anew only after its file is gone")
    func evictedOpen() async throws {
        let fixture = try CacheFixture(bytesMax: 2 << 20)
        let first = TestBlob(byteCount: 2 * pieceBytes)
        fixture.cache.release(try fixture.complete(first))
        #expect(fixture.cache.openedBlob(first.digest, sizeBytes: first.sizeBytes).map(fixture.cache.release) != nil)
        _ = try fixture.complete(TestBlob(byteCount: pieceBytes))
        #expect(fixture.cache.openedBlob(first.digest, sizeBytes: first.sizeBytes) == nil)
        #expect(try await fixture.open(first) == nil)
    }

    @Test("who cannot create a blob because it is being opened leaves no pin on it")
    func refusedCreation() async throws {
        let blob = TestBlob(byteCount: 2 * pieceBytes)
        let other = TestBlob(byteCount: 2 * pieceBytes)
        let first = try CacheFixture(bytesMax: 3 << 20)
        first.cache.release(try first.complete(blob))
        let fixture = try first.reopened(bytesMax: 3 << 20)
        // The pool's threads are kept busy, so that the opening has begun and is not over.
        let gate = DispatchSemaphore(value: 0)
        for _ in 0..<2 { try fixture.pool.submit { gate.wait() } }
        let (opened, continuation) = AsyncStream<CachedBlob?>.makeStream()
        fixture.cache.open(blob.digest, sizeBytes: blob.sizeBytes) { continuation.yield(try? $0.get()) }
        #expect {
            try fixture.cache.create(blob.digest, sizeBytes: blob.sizeBytes, pieces: blob.pieces)
        } throws: {
            ($0 as? CacheError)?.kind == .overloaded
        }
        for _ in 0..<2 { gate.signal() }
        for await cached in opened {
            fixture.cache.release(try #require(cached))
            break
        }
        // It can make room for another one.
        #expect(try fixture.complete(other).isComplete)
        #expect(await eventually { !FileManager.default.fileExists(atPath: fixture.completePath(blob)) })
    }

    @Test("above the high mark, room is made in the background, down to the low mark")
    func watermarks() async throws {
        let fixture = try CacheFixture(bytesMax: 40 << 20)
        for _ in 0..<38 { fixture.cache.release(try fixture.complete(TestBlob(byteCount: pieceBytes))) }
        #expect(fixture.counter("depot_edge_evicted_blobs_total") == 0)
        fixture.cache.release(try fixture.complete(TestBlob(byteCount: pieceBytes)))
        #expect(await eventually { fixture.cache.usedBytes == 36 << 20 })
        #expect(await eventually { fixture.counter("depot_edge_evicted_blobs_total") == 3 })
        for _ in 0..<2 { fixture.cache.release(try fixture.complete(TestBlob(byteCount: pieceBytes))) }
        await fixture.pool.finish()
        #expect(fixture.cache.usedBytes == 38 << 20)
    }

    @Test("dozens of ranges of one pull are one use; a blob that is pulled again outlives those that are not")
    func popularity() async throws {
        let time = TestTime()
        let fixture = try CacheFixture(bytesMax: 40 << 20) { $0.now = { time.now } }
        let popular = TestBlob(byteCount: 2 * pieceBytes)
        let pulledOnce = TestBlob(byteCount: 2 * pieceBytes)
        for blob in [popular, pulledOnce] { fixture.cache.release(try fixture.complete(blob)) }
        for number in 0..<40 {
            let cached = try #require(try await fixture.open(pulledOnce))
            let start = Int64(number) * 50_000
            #expect(try await fixture.read(start..<start + 1000, of: cached)?.count == 1000)
            fixture.cache.release(cached)
            time.advance(by: .seconds(30))
        }
        for _ in 0..<3 {
            let cached = try #require(try await fixture.open(popular))
            #expect(try await fixture.read(cached) == popular.bytes)
            fixture.cache.release(cached)
            time.advance(by: .seconds(30))
        }
        for _ in 0..<60 { fixture.cache.release(try fixture.complete(TestBlob(byteCount: pieceBytes))) }
        #expect(await eventually { !FileManager.default.fileExists(atPath: fixture.completePath(pulledOnce)) })
        #expect(FileManager.default.fileExists(atPath: fixture.completePath(popular)))
    }

    @Test("idle blobs are closed beyond the maximum and can be opened again")
    func idleMaximum() async throws {
        let fixture = try CacheFixture { $0.idleOpenCountMax = 4 }
        let blobs = (0..<12).map { _ in TestBlob(byteCount: 1000) }
        for blob in blobs { fixture.cache.release(try fixture.complete(blob)) }
        let openCount = blobs.count { blob in
            fixture.cache.openedBlob(blob.digest, sizeBytes: blob.sizeBytes).map(fixture.cache.release) != nil
        }
        #expect(openCount <= 4)
        for blob in blobs {
            let cached = try #require(try await fixture.open(blob))
            #expect(try await fixture.read(cached) == blob.bytes)
            fixture.cache.release(cached)
        }
    }

    @Test("bytes to leave free are left free")
    func reserve() throws {
        let fixture = try CacheFixture(reserveBytes: .max / 2)
        #expect { try fixture.partial(TestBlob(byteCount: 10)) } throws: { ($0 as? CacheError)?.kind == .outOfSpace }
    }

    @Test(
        "a full file system is out of space, not broken: what is stored stays right, and room is made",
        .enabled(if: getuid() == 0))
    func fullDisk() async throws {
        let disk = try SmallDisk(megabytes: 8)
        let fixture = try CacheFixture(directory: disk.path + "/cache")
        let first = TestBlob(byteCount: 5 * pieceBytes)
        let second = TestBlob(byteCount: 6 * pieceBytes)
        // A reference would keep the file's space after its name is gone.
        var open: CachedBlob? = try fixture.complete(first)
        let partial = try fixture.partial(second, pieces: [0, 1])
        #expect { for piece in 2..<6 { _ = try fixture.store(second, piece, in: partial) } } throws: {
            ($0 as? CacheError)?.kind == .outOfSpace
        }
        #expect(try await fixture.read(try #require(open)) == first.bytes)
        #expect(try await fixture.read(blob: second, 0..<2, of: partial))
        open.map(fixture.cache.release)
        open = nil
        for piece in 2..<6 { #expect(try fixture.store(second, piece, in: partial) != .mismatch) }
        #expect(try await fixture.read(partial) == second.bytes)
        #expect { try fixture.partial(TestBlob(byteCount: 4 * pieceBytes), pieces: [0, 1, 2]) } throws: {
            ($0 as? CacheError)?.kind == .outOfSpace
        }
    }
}

extension CacheFixture {
    fileprivate func read(blob: TestBlob, _ pieces: Range<Int>, of cached: CachedBlob) async throws -> Bool {
        let range =
            blob.pieces.range(of: pieces.lowerBound)
            .lowerBound..<blob.pieces.range(of: pieces.upperBound - 1).upperBound
        return try await read(range, of: cached) == Array(blob.bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    }
}

/// A file system of a few megabytes, in memory, in a private directory.
final class SmallDisk: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/depot-small-\(UUID().uuidString)"

    init(megabytes: Int) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        guard mount("depot-test", path, "tmpfs", 0, "size=\(megabytes)m") == 0 else {
            throw DiskError(call: "mount", path: path, errno: errno)
        }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }
}
