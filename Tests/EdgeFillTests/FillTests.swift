// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeCache
import EdgeControl
import EdgeFill
import Foundation
import SignedURL
import Synchronization
import Testing

@Suite("Filling a blob")
struct FillTests {
    private let mebibyte: Int64 = 1 << 20

    @Test(
        "a cold blob comes whole, is on disk afterwards, and costs its parent nothing the second time",
        arguments: [1, 1 << 20, 9 << 20 | 321])
    func cold(byteCount: Int) async throws {
        let blob = TestBlob(byteCount: byteCount)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        let first = fixture.reader()
        #expect(try await first.read(0..<blob.sizeBytes) == blob.bytes)
        #expect(!first.isHit)
        first.close()
        #expect(parent.sentBytes == blob.bytes.count)
        let second = fixture.reader()
        #expect(try await second.read(0..<blob.sizeBytes) == blob.bytes)
        #expect(parent.sentBytes == blob.bytes.count)
        second.close()
        fixture.clock.endGrace()
        let third = fixture.reader()
        #expect(try await third.read(0..<blob.sizeBytes) == blob.bytes)
        #expect(third.isHit)
        #expect(fixture.counter("depot_edge_fill_bytes_total", "{parent=\"origin\"}") == byteCount)
        #expect(fixture.counter("depot_edge_checked_pieces_total") == 0, "what was written is in memory and checked")
    }

    @Test("a fill without readers waits with one timer; one whose blob is complete does not wait at all")
    func idleTimers() async throws {
        let blob = TestBlob(byteCount: 9 << 20)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        for _ in 0..<20 { _ = try await fixture.get(0..<mebibyte) }
        #expect(fixture.clock.waitingCount == 1)
        fixture.clock.endGrace()
        let last = fixture.reader()
        #expect(try await last.read(0..<blob.sizeBytes) == blob.bytes)
        let cached = try #require(fixture.cache.openedBlob(blob.digest, sizeBytes: blob.sizeBytes))
        while !cached.isComplete { await Task.yield() }
        fixture.cache.release(cached)
        last.close()
        #expect(fixture.clock.waitingCount == 0)
        #expect(parent.sentBytes == blob.bytes.count)
    }

    @Test("64 readers of one cold blob cause one fetch of each byte and one question for parents")
    func herd() async throws {
        let blob = TestBlob(byteCount: 20 << 20 | 5)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        let equalCount = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 { group.addTask { (try? await fixture.get()) == blob.bytes } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(equalCount == 64)
        #expect(parent.sentBytes == blob.bytes.count)
        #expect(fixture.origin.script.withLock { $0.parentsCount } == 1)
        #expect(fixture.origin.script.withLock { $0.listCount } == 1)
    }

    @Test("a range in the middle of a large cold blob costs its chunk, from the wanted piece on")
    func middle() async throws {
        let blob = TestBlob(byteCount: 64 << 20)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        let range = 34 * mebibyte..<35 * mebibyte
        #expect(try await fixture.get(range) == Array(blob.bytes[Int(range.lowerBound)..<Int(range.upperBound)]))
        #expect(parent.ranges == [34 << 20..<40 << 20])
    }

    @Test("a reader that stops reading is followed by four chunks, not by the blob, and its leaving stops the fill")
    func hangUp() async throws {
        let blob = TestBlob(byteCount: 80 << 20)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        let reader = fixture.reader()
        // An open-ended range, of which the client reads 8 MiB.
        #expect(try await reader.read(0..<8 * mebibyte) == Array(blob.bytes.prefix(8 << 20)))
        #expect(parent.ranges.prefix(2).contains(0..<8 << 20))
        reader.close()
        #expect(parent.ranges.allSatisfy { $0.upperBound <= 40 << 20 })
        let next = fixture.reader()
        #expect(try await next.read(8 * mebibyte..<16 * mebibyte) == Array(blob.bytes[8 << 20..<16 << 20]))
        #expect(fixture.origin.script.withLock { $0.parentsCount } == 1, "the fill was still there")
    }

    /// The first read-ahead goes out beside it, on a connection of its own: either may arrive first.
    @Test("the wanted chunk is asked for first")
    func wantedFirst() async throws {
        let blob = TestBlob(byteCount: 40 << 20)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        let reader = fixture.reader()
        _ = try await reader.step(from: 20 * mebibyte, upTo: blob.sizeBytes)
        #expect(parent.ranges.prefix(2).contains(20 << 20..<24 << 20))
    }

    @Test("a client that leaves while others wait hurts nobody")
    func firstLeaves() async throws {
        let blob = TestBlob(byteCount: 3 << 20)
        let gate = LoopbackParent.Gate()
        let parent = try LoopbackParent(blob.bytes) { _, _ in .held(gate) }
        let fixture = try FillFixture(blob, parents: [parent])
        let leaver = fixture.reader()
        _ = leaver.next(from: 0, upTo: blob.sizeBytes, atMost: blob.sizeBytes, wake: {})
        async let other = fixture.get()
        leaver.close()
        gate.open()
        #expect(try await other == blob.bytes)
        #expect(parent.sentBytes == blob.bytes.count)
    }

    @Test("an edge that restarts goes on where its partial blob was")
    func restart() async throws {
        let blob = TestBlob(byteCount: 16 << 20)
        let parent = try LoopbackParent(blob.bytes)
        let first = try FillFixture(blob, parents: [parent])
        _ = try await first.get(0..<mebibyte)
        #expect(parent.ranges == [0..<8 << 20])
        // The reader was served before the rest of the chunk was written.
        while parent.sentBytes < 8 << 20 || first.counter("depot_edge_cache_used_bytes") < 8 << 20 {
            await Task.yield()
        }
        let second = try FillFixture(blob, parents: [parent], directory: first.directory)
        #expect(try await second.get() == blob.bytes)
        #expect(parent.ranges == [0..<8 << 20, 8 << 20..<16 << 20])
        #expect(second.origin.script.withLock { $0.listCount } == 0, "the list is on disk")
    }

    @Test("a blob of no bytes is there without asking anybody, if the digest is that of no bytes")
    func empty() async throws {
        let blob = TestBlob(byteCount: 0)
        let fixture = try FillFixture(blob, parents: [])
        try await fixture.reader().exists()
        #expect(try await fixture.get() == [])
        let liar = fixture.source.reader(
            for: .init(
                digest: TestBlob(byteCount: 1).digest, edgeID: "e", expiry: 0, keyID: "k", sizeBytes: 0, tenant: "t"),
            target: "")
        await #expect(throws: BlobReader.Failure.unknownBlob) { try await liar.exists() }
        #expect(fixture.origin.script.withLock { $0.parentsCount } == 0)
    }

    @Test("HEAD of a blob that is not here asks for parents and fetches nothing")
    func exists() async throws {
        let blob = TestBlob(byteCount: 5)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        try await fixture.reader().exists()
        #expect(parent.ranges.isEmpty)
        fixture.origin.script.withLock { $0.parentsError = .notFound }
        let other = TestBlob(byteCount: 6)
        await #expect(throws: BlobReader.Failure.unknownBlob) { try await fixture.reader(of: other).exists() }
    }

    @Test("unknown blobs are not remembered as such")
    func unknown() async throws {
        let blob = TestBlob(byteCount: 100)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        fixture.origin.script.withLock { $0.parentsError = .notFound }
        await #expect(throws: BlobReader.Failure.unknownBlob) { try await fixture.get() }
        fixture.origin.script.withLock { $0.parentsError = .unavailable("down") }
        await #expect(throws: BlobReader.Failure.unavailable) { try await fixture.get() }
        fixture.origin.script.withLock { $0.parentsError = nil }
        #expect(try await fixture.get() == blob.bytes)
    }

    @Test("an origin that contradicts the size in its own link is not believed")
    func otherSize() async throws {
        let blob = TestBlob(byteCount: 100)
        let parent = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [parent])
        fixture.origin.script.withLock { $0.sizeBytes = 101 }
        await #expect(throws: BlobReader.Failure.unavailable) { try await fixture.get() }
        #expect(parent.ranges.isEmpty)
    }
}
