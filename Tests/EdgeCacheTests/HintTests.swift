// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import OCI
import Testing

@Suite("Hints for the next start, and what counts as a use")
struct HintTests {
    private func name(_ number: UInt8, size: Int64 = 10) throws -> BlobName {
        BlobName(
            digest: try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: number, count: 32))),
            sizeBytes: size)
    }

    private func hints(of queue: EvictionQueue) -> [EvictionQueue.Hint] {
        queue.hints(of: 0..<queue.handleEnd).sorted { $0.order < $1.order }
    }

    @Test("a file of hints comes back as it was written, in order; any flipped bit makes it worthless")
    func codec() {
        let hints = (1...7).map { number in
            EvictionQueue.Hint(
                prefix: .max / UInt64(number), order: UInt32(number), place: [.small, .main, .transit][number % 3],
                frequency: UInt8(number % 4))
        }
        let bytes = HintFile.encode(hints)
        #expect(HintFile.decode(bytes) == hints)
        #expect(HintFile.decode(HintFile.encode([])) == [])
        for index in bytes.indices {
            var broken = bytes
            broken[index] ^= 1 << UInt8(index % 8)
            #expect(HintFile.decode(broken) == nil)
        }
        for count in 0..<bytes.count { #expect(HintFile.decode(Array(bytes.prefix(count))) == nil) }
        #expect(HintFile.decode(bytes + [0]) == nil)
    }

    @Test("a start puts what it finds where it was: queue, order and uses")
    func restored() throws {
        var first = EvictionQueue(bytesMax: 100)
        for number: UInt8 in 1...6 { first.insert(try name(number), storedBytes: 10, from: .parent) }
        first.insert(try name(7, size: 50), storedBytes: 50, from: .parent)
        for number: UInt8 in [2, 5] { first.used(try #require(first.find(name(number).digest)), times: 3) }
        // 7 was in transit, 1 and 3 were used once; 2 moves into the main queue.
        #expect(try first.evict(downTo: 49).victims == [name(7, size: 50), name(1), name(3)])
        first.used(try #require(first.find(name(2).digest)))
        let told = hints(of: first)
        #expect(told.map(\.place) == [.small, .small, .small, .main] && told.map(\.frequency) == [0, 3, 0, 1])
        let decoded = try #require(HintFile.decode(HintFile.encode(told)))
        #expect(decoded.map(\.prefix) == told.map(\.prefix))

        var second = EvictionQueue(bytesMax: 100)
        for number: UInt8 in [6, 2, 5, 4, 3, 8] { second.insert(try name(number), storedBytes: 10, from: .disk) }
        for hint in decoded.reversed() { second.restore(hint) }
        for number: UInt8 in [2, 4, 5, 6] {
            let before = try #require(first.find(name(number).digest))
            let after = try #require(second.find(name(number).digest))
            #expect(second.place(of: after) == first.place(of: before), "blob \(number)")
        }
        // The next start is told the same, with what had no hint behind it.
        let again = hints(of: second)
        #expect(again.prefix(4).map(\.prefix) == told.map(\.prefix))
        #expect(again.prefix(4).map(\.frequency) == told.map(\.frequency))
        #expect(
            try Set(again.suffix(2).map(\.prefix)) == Set([3, 8].map { UInt64(bigEndianBytes: try name($0).digest) }))
        #expect(second.bytes(in: .small) == 30 && second.bytes(in: .main) == 30 && second.usedBytes == 60)
    }

    @Test("what was used since the start stays where that put it")
    func usedSince() throws {
        var queue = EvictionQueue(bytesMax: 1000)
        let handle = queue.insert(try name(1), storedBytes: 10, from: .parent)
        queue.restore(
            EvictionQueue.Hint(
                prefix: UInt64(bigEndianBytes: try name(1).digest), order: 1, place: .transit, frequency: 3))
        #expect(queue.place(of: handle) == .small)
        // A hint about a blob that is not there.
        queue.restore(EvictionQueue.Hint(prefix: 12, order: 1, place: .main, frequency: 3))
        #expect(queue.count == 1)
    }

    @Test("a use is a first byte that is handed out; what follows within two seconds is the same use")
    func uses() {
        let start = ContinuousClock.now
        var found = UseCount(isFetched: false)
        found.read(at: start)
        found.read(at: start + .seconds(1))
        found.read(at: start + .milliseconds(1999))
        #expect(found.take() == 1)
        found.read(at: start + .seconds(2))
        found.read(at: start + .seconds(5))
        #expect(found.take() == 2)
        #expect(found.take() == 0)
    }

    @Test("the reader for whom a blob was fetched is not counted")
    func expected() {
        let start = ContinuousClock.now
        var fetched = UseCount(isFetched: true)
        fetched.read(at: start)
        fetched.read(at: start + .seconds(1))
        #expect(fetched.take() == 0)
        fetched.read(at: start + .seconds(10))
        #expect(fetched.take() == 1)
    }
}

extension UInt64 {
    fileprivate init(bigEndianBytes digest: Digest) { self = digest.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
