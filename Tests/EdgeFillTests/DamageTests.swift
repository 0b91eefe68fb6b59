// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeCache
import EdgeFill
import Foundation
import Glibc
import Synchronization
import Testing

/// Damage to the cache's files while they are served: no client receives it, and the cache heals.
@Suite("Damage on the edge's disk")
struct DamageTests {
    private static let ways: [CachedBlob.Residency] = [.pageCache, .readThrough]
    private let blob = TestBlob(byteCount: 6 << 20 | 99)

    private enum Damage: CaseIterable { case flip, zeros, swap, truncate, grow, unlink, empty }

    private func harm(_ path: String, _ damage: Damage) throws {
        let file = try File.open(path, .readWrite)
        let before = try file.status().changeTime
        repeat {
            switch damage {
            case .flip: try write([UInt8.random(in: .min ... .max)], to: file, at: .random(in: 0..<blob.sizeBytes))
            case .zeros: try write([UInt8](repeating: 0, count: 4096), to: file, at: 4096 * .random(in: 0..<1000))
            case .swap:
                try write(Array(blob.bytes[1 << 20..<2 << 20]), to: file, at: 0)
                try write(Array(blob.bytes[0..<1 << 20]), to: file, at: 1 << 20)
            case .truncate: try file.truncate(to: .random(in: 1..<blob.sizeBytes))
            case .grow: try file.truncate(to: blob.sizeBytes + 1 << 20)
            case .unlink: try Directory.remove(path)
            case .empty: try file.truncate(to: 0)
            }
        } while try file.status().changeTime == before
    }

    private func write(_ bytes: [UInt8], to file: File, at offset: Int64) throws {
        try bytes.withUnsafeBytes { try file.write($0, at: offset) }
    }

    @Test("warm and cold damage of every kind is healed piece by piece, and nobody gets a wrong byte", arguments: ways)
    func heals(way: CachedBlob.Residency) async throws {
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent]) { $0.residency = way }
        #expect(try await fixture.get() == blob.bytes)
        for round in 0..<4 {
            for damage in Damage.allCases {
                await committed(fixture)
                try harm(fixture.completePath, damage)
                if round % 2 == 1, let file = try File.openIfExists(fixture.completePath, .readWrite) {
                    try file.syncData()
                    try file.adviseDontNeed(0..<0)
                }
                let before = parent.sentBytes
                #expect(try await fixture.get() == blob.bytes, "\(damage)")
                if damage == .flip || damage == .zeros {
                    #expect(parent.sentBytes - before <= 1 << 20, "only the piece")
                }
                if damage == .unlink { try dropOpen(fixture) }
                fixture.clock.endGrace()
            }
        }
    }

    /// The file is in its place, or is put there by one more reader.
    private func committed(_ fixture: FillFixture) async {
        while !FileManager.default.fileExists(atPath: fixture.completePath) && !Task.isCancelled {
            #expect((try? await fixture.get()) == blob.bytes)
            await Task.yield()
        }
    }

    /// An unlinked file is served on from its descriptor; the cache is told to forget it.
    private func dropOpen(_ fixture: FillFixture) throws {
        let open = fixture.cache.openedBlob(blob.digest, sizeBytes: blob.sizeBytes)
        if let open {
            fixture.cache.discard(open)
            fixture.cache.release(open)
        }
    }

    /// By bytes that are hashed for each reader: with sendfile a moment remains between the look and the sending, and a
    /// test that copies what it was told to send would see it.
    @Test("damage while 16 readers are at it reaches none of them")
    func underLoad() async throws {
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent]) { $0.residency = .readThrough }
        #expect(try await fixture.get() == blob.bytes)
        for damage in [Damage.flip, .zeros, .truncate, .flip, .zeros, .empty, .flip] {
            await committed(fixture)
            let rightCount = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<16 { group.addTask { [blob] in (try? await fixture.get()) == blob.bytes } }
                #expect(throws: Never.self) { try harm(fixture.completePath, damage) }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(rightCount == 16, "\(damage)")
            fixture.clock.endGrace()
        }
    }

    @Test("a full disk passes blobs through: verified, whole, for many readers", .enabled(if: getuid() == 0))
    func fullDisk() async throws {
        let disk = try SmallDisk(megabytes: 4)
        let large = TestBlob(byteCount: 24 << 20 | 3)
        let parent = try LoopbackParent(large.bytes)
        let fixture = try FillFixture(large, parents: [parent], directory: disk.path + "/cache")
        let right = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 { group.addTask { (try? await fixture.get()) == large.bytes } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(right == 8)
        #expect(fixture.counter("depot_edge_passed_through_pieces_total") > 0)
        let range: Range<Int64> = 20 << 20 | 5..<22 << 20
        #expect(try await fixture.get(range) == Array(large.bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
    }

    @Test("a blob that passed a full disk is on it once there is room, although its readers never leave")
    func roomAgain() async throws {
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent], bytesMax: blob.sizeBytes)
        let other = TestBlob(byteCount: 1 << 20)
        let inTheWay = try fixture.cache.create(other.digest, sizeBytes: other.sizeBytes, pieces: other.pieces)
        _ = try other.bytes.withUnsafeBytes { try fixture.cache.store(inTheWay, piece: 0, bytes: $0) }
        let reader = fixture.reader()
        defer { reader.close() }
        #expect(try await reader.read(0..<blob.sizeBytes) == blob.bytes)
        fixture.clock.offerToDisk()
        #expect(try await fixture.get() == blob.bytes)
        #expect(fixture.counter("depot_edge_passed_through_pieces_total") > 0)
        #expect(!FileManager.default.fileExists(atPath: fixture.completePath))
        fixture.cache.release(inTheWay)
        for _ in 0..<1000 where !FileManager.default.fileExists(atPath: fixture.completePath) {
            fixture.clock.offerToDisk()
            #expect(try await fixture.get() == blob.bytes)
        }
        #expect(FileManager.default.fileExists(atPath: fixture.completePath))
        #expect(parent.sentBytes <= 2 * Int(blob.sizeBytes))
    }

    @Test(
        "a disk that takes nothing at all passes blobs through, and a lying parent still cannot",
        .enabled(if: getuid() == 0))
    func noDisk() async throws {
        let disk = try SmallDisk(megabytes: 1)
        let parent = try LoopbackParent(blob.bytes) { _, number in number == 0 ? .flipped(at: 5) : .honest }
        let fixture = try FillFixture(blob, parents: [parent], directory: disk.path + "/cache", bytesMax: 0)
        #expect(try await fixture.get() == blob.bytes)
        #expect(fixture.counter("depot_edge_cache_used_bytes") == 0)
        #expect(fixture.counter("depot_edge_piece_mismatch_total", "{source=\"parent\"}") == 1)
    }

    @Test("wrong bytes for which there is no room are as wrong as others")
    func noRoomForWrongBytes() async throws {
        // The first piece takes all the room there is, so that nothing of the second is looked at on its way to the disk.
        let parent = try LoopbackParent(blob.bytes) { _, number in number == 0 ? .flipped(at: 1 << 20 | 5) : .honest }
        let fixture = try FillFixture(blob, parents: [parent], bytesMax: 1 << 20)
        #expect(try await fixture.get() == blob.bytes)
        #expect(fixture.counter("depot_edge_piece_mismatch_total", "{source=\"parent\"}") == 1)
        #expect(fixture.counter("depot_edge_passed_through_pieces_total") > 0)
    }

    @Test("a cache a quarter of the working set fails nobody")
    func smallCache() async throws {
        let blobs = (0..<8).map { _ in TestBlob(byteCount: 2 << 20) }
        let parents = try blobs.map { try LoopbackParent($0.bytes) }
        let fixture = try FillFixture(blobs[0], parents: [parents[0]], bytesMax: 4 << 20)
        for _ in 0..<2 {
            for (blob, parent) in zip(blobs, parents) {
                fixture.origin.script.withLock { script in
                    script.urls = [parent.url]
                    script.list = blob.pieces
                }
                #expect(try await fixture.get(of: blob) == blob.bytes)
                fixture.clock.endGrace()
            }
        }
        #expect(fixture.cache.usedBytes <= 4 << 20)
        #expect(fixture.counter("depot_edge_evicted_blobs_total") > 0)
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
