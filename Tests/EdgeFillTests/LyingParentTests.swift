// SPDX-License-Identifier: Apache-2.0

import EdgeFill
import Synchronization
import Testing

/// Whatever a parent does, a client gets right bytes or none.
@Suite("Parents that fail or lie")
struct LyingParentTests {
    private static let lies: [LoopbackParent.Answer] = [
        .flipped(at: 2 << 20 | 7), .otherRange, .otherTotal, .short, .whole, .status(404), .status(403), .status(500),
        .status(302), .status(416), .cut(afterBytes: 0), .cut(afterBytes: 3 << 20 | 500),
    ]

    private let blob = TestBlob(byteCount: 10 << 20 | 77)

    @Test("a parent that lies is left for the next one", arguments: lies)
    func nextParent(lie: LoopbackParent.Answer) async throws {
        let liar = try LoopbackParent(blob.bytes) { _, _ in lie }
        let honest = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [liar, honest])
        #expect(try await fixture.get() == blob.bytes)
        #expect(!liar.ranges.isEmpty)
        #expect(try await fixture.get() == blob.bytes)
    }

    @Test("a parent that always lies yields a failure, never a wrong byte", arguments: lies)
    func alone(lie: LoopbackParent.Answer) async throws {
        let liar = try LoopbackParent(blob.bytes) { _, _ in lie }
        let fixture = try FillFixture(blob, parents: [liar])
        let reader = fixture.reader()
        var received: [UInt8] = []
        do {
            while received.count < blob.bytes.count {
                let end = min(blob.sizeBytes, Int64(received.count) + 1 << 20)
                received += try await reader.read(Int64(received.count)..<end)
            }
            if case .cut(let count) = lie {
                #expect(count > 0, "pieces arrived each time")
            } else {
                Issue.record("\(lie)")
            }
        } catch let failure as BlobReader.Failure {
            switch lie {
            case .status(404): #expect(failure == .unknownBlob)
            case .flipped, .otherRange, .otherTotal, .short, .whole, .status(302): #expect(failure == .corrupt)
            default: #expect(failure == .unavailable)
            }
        }
        #expect(received[...] == blob.bytes.prefix(received.count))
        reader.close()
    }

    @Test("what was given up can be asked for again, and what is right stays")
    func recovers() async throws {
        let honesty = Honesty()
        let liar = try LoopbackParent(blob.bytes) { _, _ in honesty.isOn ? .honest : .flipped(at: 1 << 20 | 5) }
        let fixture = try FillFixture(blob, parents: [liar])
        await #expect(throws: BlobReader.Failure.corrupt) { try await fixture.get(0..<8 << 20) }
        honesty.turnOn()
        #expect(try await fixture.get() == blob.bytes)
        #expect(fixture.counter("depot_edge_piece_mismatch_total", "{source=\"parent\"}") >= 2)
    }

    /// Lets a parent lie until the test has seen it.
    private final class Honesty: Sendable {
        private let value = Mutex(false)
        var isOn: Bool { value.withLock { $0 } }
        func turnOn() { value.withLock { $0 = true } }
    }

    @Test("a parent that closes in the middle is asked for the rest, from the first missing piece on")
    func resumes() async throws {
        let parent = try LoopbackParent(blob.bytes) { _, number in
            number == 0 ? .cut(afterBytes: 5 << 20 | 999) : .honest
        }
        let fixture = try FillFixture(blob, parents: [parent])
        #expect(try await fixture.get(0..<8 << 20) == Array(blob.bytes.prefix(8 << 20)))
        #expect(parent.ranges == [0..<8 << 20, 5 << 20..<8 << 20])
    }

    @Test("a refused link is replaced by a fresh one")
    func refreshed() async throws {
        let parent = try LoopbackParent(blob.bytes) { _, number in number == 0 ? .status(403) : .honest }
        let fixture = try FillFixture(blob, parents: [parent])
        #expect(try await fixture.get() == blob.bytes)
        #expect(fixture.origin.script.withLock { $0.parentsCount } == 2)
        #expect(fixture.origin.script.withLock { $0.listCount } == 1)
    }

    @Test("a parent that is not there is left for the next one")
    func gone() async throws {
        let dead = try LoopbackParent(blob.bytes)
        dead.stop()
        let honest = try LoopbackParent(blob.bytes)
        let fixture = try FillFixture(blob, parents: [dead, honest])
        #expect(try await fixture.get() == blob.bytes)
        #expect(honest.sentBytes == blob.bytes.count)
    }
}
