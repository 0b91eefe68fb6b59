// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeCache
import Hashing
import Testing

/// The promise of the cache: whatever happens to its files, `.ready` is never said of a wrong byte.
@Suite("No unverified byte leaves the cache")
struct HitRuleTests {
    private static let ways: [CachedBlob.Residency] = [.pageCache, .readThrough]
    private let blob = TestBlob(byteCount: 5 << 20 | 1234)

    private func fixture(_ way: CachedBlob.Residency) throws -> CacheFixture {
        try CacheFixture { $0.residency = way }
    }

    @Test("what was stored is ready at once, whole and in parts", arguments: ways)
    func stored(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.complete(blob)
        let checkedBefore = fixture.counter("depot_edge_checked_pieces_total")
        #expect(try await fixture.read(cached) == blob.bytes)
        for range: Range<Int64> in [
            0..<1, 5..<6, 1_048_575..<1_048_577, 4_000_000..<blob.sizeBytes, 3_145_728..<4_194_304,
        ] {
            #expect(
                try await fixture.read(range, of: cached)
                    == Array(blob.bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
        }
        if way != .readThrough { #expect(fixture.counter("depot_edge_checked_pieces_total") == checkedBefore) }
    }

    @Test(
        "a byte flipped on the device, with the pages gone, is found, and the piece is healed in place", arguments: ways
    )
    func coldFlip(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.complete(blob)
        let path = fixture.completePath(blob)
        for offset: Int64 in [0, 3 << 20 | 17, blob.sizeBytes - 1] {
            let piece = Int(offset >> 20)
            try Intruder.flip(path, at: offset)
            try Intruder.drop(path)
            #expect(try await fixture.read(cached) == nil)
            #expect(!cached.present.contains(piece))
            #expect(cached.present.count == blob.pieces.count - 1, "the other pieces stay")
            #expect(try fixture.store(blob, piece, in: cached) == .stored)
            #expect(try await fixture.read(cached) == blob.bytes)
        }
        #expect(fixture.counter("depot_edge_piece_mismatch_total", "{source=\"disk\"}") == 3)
        let reopened = try fixture.reopened()
        #expect(try await reopened.read(try #require(try await reopened.open(blob))) == blob.bytes)
    }

    @Test("a byte flipped in memory by another descriptor is found", arguments: ways)
    func warmFlip(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.complete(blob)
        #expect(try await fixture.read(cached) == blob.bytes)
        try Intruder.flip(fixture.completePath(blob), at: 2 << 20 | 3)
        #expect(try await fixture.read(0..<(2 << 20), of: cached) == Array(blob.bytes.prefix(2 << 20)))
        #expect(try await fixture.read(cached) == nil)
        #expect(try fixture.store(blob, 2, in: cached) == .stored)
        #expect(try await fixture.read(cached) == blob.bytes)
    }

    @Test("a byte flipped in a partial blob between our own writes is found", arguments: ways)
    func partialFlip(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.partial(blob, pieces: [0, 1])
        #expect(try await fixture.read(0..<(2 << 20), of: cached) == Array(blob.bytes.prefix(2 << 20)))
        try Intruder.flip(fixture.partialPath(blob, ".data"), at: 9)
        #expect(try fixture.store(blob, 2, in: cached) == .stored)
        #expect(try await fixture.read(0..<1, of: cached) == nil)
        #expect(try await fixture.read((1 << 20)..<(3 << 20), of: cached) == Array(blob.bytes[(1 << 20)..<(3 << 20)]))
    }

    @Test("a byte flipped between the last piece and the commit is found", arguments: ways)
    func flipBeforeCommit(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.partial(blob, pieces: Array(0..<blob.pieces.count))
        #expect(try await fixture.read(cached) == blob.bytes)
        try Intruder.flip(fixture.partialPath(blob, ".data"), at: 9)
        fixture.cache.commit(cached)
        #expect(cached.isComplete)
        #expect(try await fixture.read(0..<1, of: cached) == nil)
        #expect(try fixture.store(blob, 0, in: cached) == .stored)
        #expect(try await fixture.read(cached) == blob.bytes)
    }

    /// The kernel may take pages out of memory on its own, at any time: counts are lower bounds where they prove a check,
    /// and far from a whole round where they prove that there was none.
    @Test("pages that left memory are read and hashed once more before they are sent")
    func evictedPages() async throws {
        let fixture = try fixture(.pageCache)
        let cached = try fixture.complete(blob)
        try Intruder.drop(fixture.completePath(blob))
        let before = fixture.counter("depot_edge_checked_pieces_total")
        #expect(try await fixture.read(cached) == blob.bytes)
        let cold = fixture.counter("depot_edge_checked_pieces_total")
        #expect(cold - before >= blob.pieces.count)
        #expect(try await fixture.read(cached) == blob.bytes)
        #expect(fixture.counter("depot_edge_checked_pieces_total") - cold < blob.pieces.count)
    }

    @Test("swapped pieces are found, though each of them is a right piece", arguments: ways)
    func swapped(way: CachedBlob.Residency) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.complete(blob)
        try Intruder.swap(fixture.completePath(blob), blob.pieces.range(of: 1), blob.pieces.range(of: 3))
        #expect(try await fixture.read(cached) == nil)
        #expect(try await fixture.read(blob.pieces.range(of: 3), of: cached) == nil)
        for piece in [1, 3] { #expect(try fixture.store(blob, piece, in: cached) == .stored) }
        #expect(try await fixture.read(cached) == blob.bytes)
    }

    @Test(
        "a truncated or grown file is lost; it is dropped, and the blob begins anew beside the open descriptor",
        arguments: ways, [0, 1 << 20, 5 << 20, 6 << 20])
    func truncated(way: CachedBlob.Residency, toBytes: Int64) async throws {
        let fixture = try fixture(way)
        let cached = try fixture.complete(blob)
        try File.open(fixture.completePath(blob), .readWrite).truncate(to: toBytes)
        _ = try await fixture.read(cached)
        guard case .lost = cached.inspect(0..<1) else {
            // Without a page to ask for, the piece is absent: as good, and healed piece by piece.
            #expect(way == .readThrough)
            return
        }
        fixture.cache.discard(cached)
        #expect(try await fixture.open(blob) == nil)
        let fresh = try fixture.complete(blob)
        #expect(fresh !== cached)
        #expect(try await fixture.read(fresh) == blob.bytes)
        if case .lost = cached.inspect(0..<1) {} else { Issue.record("who held the lost file keeps seeing it lost") }
    }

    @Test("a piece with wrong bytes is not stored")
    func wrongPiece() throws {
        let fixture = try CacheFixture()
        let cached = try fixture.partial(blob)
        var bytes = Array(blob.piece(1))
        bytes[5] ^= 1
        #expect(try bytes.withUnsafeBytes { try fixture.cache.store(cached, piece: 1, bytes: $0) } == .mismatch)
        #expect(try fixture.store(blob, 0, in: cached) == .stored)
        #expect(cached.present.count == 1)
        guard case .absent(piece: 1) = cached.inspect((1 << 20)..<(2 << 20)) else {
            Issue.record("the piece is absent")
            return
        }
    }

    @Test("many readers of one cold piece cause one check")
    func sharedCheck() async throws {
        let fixture = try CacheFixture()
        _ = try fixture.complete(blob)
        let reopened = try fixture.reopened()
        let cached = try #require(try await reopened.open(blob))
        await withTaskGroup { group in
            for _ in 0..<32 { group.addTask { await reopened.check(0..<1, of: cached) } }
        }
        #expect(reopened.counter("depot_edge_checked_pieces_total") == 1)
    }

    @Test("a change of the file's mode costs checks, not bytes")
    func changedMode() async throws {
        var checkCounts: Set<Int> = []
        // A page that leaves memory meanwhile costs one more, but not each time.
        for _ in 0..<5 where !checkCounts.contains(blob.pieces.count) {
            let fixture = try CacheFixture()
            let cached = try fixture.complete(blob)
            try File.open(fixture.completePath(blob), .read).setPermissions(0o600)
            #expect(try await fixture.read(cached) == blob.bytes)
            checkCounts.insert(fixture.counter("depot_edge_checked_pieces_total"))
        }
        #expect(checkCounts.min() == blob.pieces.count)
    }
}
