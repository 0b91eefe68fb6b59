// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeCache
import Foundation
import Hashing
import Testing

@Suite("The background scrub")
struct ScrubTests {
    private let blob = TestBlob(byteCount: 4 << 20 | 123)
    private let time = TestTime()

    private func fixture() throws -> CacheFixture {
        try CacheFixture { [time] in
            $0.now = { time.now }
            $0.pause = { try await time.pause($0) }
        }
    }

    /// Runs the scrub until the condition holds.
    private func scrub(_ fixture: CacheFixture, until condition: () -> Bool) async -> Bool {
        let scrubbing = Task { await fixture.cache.keepScrubbing() }
        let isReached = await eventually(condition)
        scrubbing.cancel()
        await scrubbing.value
        return isReached
    }

    private func scrubbed(_ fixture: CacheFixture) -> Int { fixture.counter("depot_edge_scrubbed_pieces_total") }

    private func mismatches(_ fixture: CacheFixture) -> Int { fixture.counter("depot_edge_scrub_mismatch_total") }

    @Test(
        "finds a wrong byte that no reader has met, and the piece is fetched again",
        arguments: [0, 3 << 20, 4 << 20 | 7])
    func rot(offset: Int) async throws {
        let fixture = try fixture()
        fixture.cache.release(try fixture.complete(blob))
        try Intruder.flip(fixture.completePath(blob), at: Int64(offset))
        try Intruder.drop(fixture.completePath(blob))
        #expect(await scrub(fixture) { mismatches(fixture) == 1 && scrubbed(fixture) >= 2 * blob.pieces.count })
        let cached = try #require(try await fixture.open(blob))
        guard case .absent(offset >> 20) = cached.inspect(Int64(offset)..<Int64(offset + 1)) else {
            Issue.record("the wrong piece is still there")
            return
        }
        #expect(try fixture.store(blob, offset >> 20, in: cached) == .stored)
        #expect(try await fixture.read(cached) == blob.bytes)
    }

    @Test("leaves cold pages cold and warm pages warm")
    func pages() async throws {
        let fixture = try fixture()
        let cached = try fixture.complete(blob)
        try Intruder.drop(fixture.completePath(blob))
        #expect(try await fixture.read(1 << 20..<2 << 20, of: cached) == Array(blob.piece(1)))
        fixture.cache.release(cached)
        #expect(await scrub(fixture) { scrubbed(fixture) >= 2 * blob.pieces.count })
        for piece in 0..<blob.pieces.count {
            let missing = try cached.file.missingPages(blob.pieces.range(of: piece))
            #expect((missing == 0) == (piece == 1), "piece \(piece): \(String(describing: missing)) pages are missing")
        }
        #expect(mismatches(fixture) == 0)
        guard case .ready(1 << 20..<2 << 20) = cached.inspect(1 << 20..<2 << 20) else {
            Issue.record("the warm piece is not ready any more")
            return
        }
    }

    @Test("leaves alone what is open, or was a moment ago")
    func inUse() async throws {
        let fixture = try fixture()
        let cached = try fixture.complete(blob)
        // It would be found, were it looked at.
        try Intruder.flip(fixture.completePath(blob), at: 5)
        try Intruder.drop(fixture.completePath(blob))
        let idle = TestBlob(byteCount: 1 << 20)
        fixture.cache.release(try fixture.complete(idle))
        #expect(await scrub(fixture) { scrubbed(fixture) >= 3 })
        #expect(mismatches(fixture) == 0)
        fixture.cache.release(cached)
        let released = time.now
        #expect(await scrub(fixture) { mismatches(fixture) == 1 })
        #expect(time.now >= released + .seconds(60))
    }

    @Test("opens what nobody has open, and closes it again; a partial blob's pieces are looked at too")
    func closed() async throws {
        let first = try fixture()
        let partial = TestBlob(byteCount: 3 << 20)
        first.cache.release(try first.complete(blob))
        first.cache.release(try first.partial(partial, pieces: [1]))
        let second = try first.reopened { [time] in
            $0.now = { time.now }
            $0.pause = { try await time.pause($0) }
        }
        await second.cache.start()
        #expect(await scrub(second) { scrubbed(second) >= blob.pieces.count + 1 })
        #expect(mismatches(second) == 0)
        #expect(second.cache.openedBlob(blob.digest, sizeBytes: blob.sizeBytes) == nil)
        #expect(second.cache.openedBlob(partial.digest, sizeBytes: partial.sizeBytes) == nil)
    }

    @Test("readers get right bytes while it runs, also of pieces that it is reading")
    func readers() async throws {
        let fixture = try fixture()
        fixture.cache.release(try fixture.complete(blob))
        let scrubbing = Task { await fixture.cache.keepScrubbing() }
        for _ in 0..<60 {
            let cached = try #require(try await fixture.open(blob))
            #expect(try await fixture.read(cached) == blob.bytes)
            fixture.cache.release(cached)
            let before = scrubbed(fixture)
            #expect(await eventually { scrubbed(fixture) > before })
        }
        scrubbing.cancel()
        await scrubbing.value
        #expect(mismatches(fixture) == 0)
    }

    @Test("is off at a pace of nothing")
    func off() async throws {
        let fixture = try CacheFixture { $0.scrubBytesPerSecond = 0 }
        await fixture.cache.keepScrubbing()
        #expect(scrubbed(fixture) == 0)
    }

    @Test("keeps its pace over any time, and does not make up for a long wait")
    func pace() {
        var pace = ScrubPace(bytesPerSecond: 4 << 20)
        let start = ContinuousClock.now
        var now = start
        for _ in 0..<400 { now += pace.read(1 << 20, at: now) }
        #expect(abs((now - start) / .seconds(1) - 100) < 0.001)
        // A late reader catches up on a second, no more.
        now += .seconds(3600)
        var waits = Duration.zero
        for _ in 0..<40 {
            let wait = pace.read(1 << 20, at: now)
            waits += wait
            now += wait
        }
        #expect(waits >= .seconds(9) - .milliseconds(1) && waits <= .seconds(10))
        #expect(pace.read(-5, at: now) >= .zero)
    }
}
