// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import Hashing
import OCI
import Testing

@Suite("The eviction queue")
struct EvictionQueueTests {
    private func name(_ number: Int, size: Int64 = 10, algorithm: DigestAlgorithm = .sha256) throws -> BlobName {
        var hash = StreamingHash(algorithm)
        hash.update(Array("\(number)".utf8))
        return BlobName(digest: hash.finalized(), sizeBytes: size)
    }

    /// Blobs of ten bytes that came one after the other; the small queue has room for ten of them in a thousand bytes.
    private func queue(_ numbers: some Sequence<Int>, bytesMax: Int64 = 1000) throws -> EvictionQueue {
        var queue = EvictionQueue(bytesMax: bytesMax)
        for number in numbers { queue.insert(try name(number), storedBytes: 10, from: .parent) }
        return queue
    }

    private func handle(_ number: Int, in queue: EvictionQueue) throws -> EvictionQueue.Handle {
        try #require(queue.find(name(number).digest))
    }

    private func place(_ number: Int, in queue: EvictionQueue) throws -> EvictionQueue.Place? {
        try queue.find(name(number).digest).flatMap { queue.place(of: $0) }
    }

    private func evict(_ queue: inout EvictionQueue, downTo bytes: Int64) -> [BlobName] {
        var victims: [BlobName] = []
        while true {
            let eviction = queue.evict(downTo: bytes)
            victims += eviction.victims
            if eviction.isDone { return victims }
        }
    }

    @Test("evicts nothing while there is room")
    func room() throws {
        var queue = try queue([1, 2, 3])
        #expect(evict(&queue, downTo: 30).isEmpty)
        #expect(queue.usedBytes == 30)
        #expect(queue.hasRoom(forBytes: 970) && !queue.hasRoom(forBytes: 971))
    }

    @Test("room that is reserved is taken: by eviction, and for whoever comes next, until it is given back")
    func reservations() throws {
        var queue = try queue([1, 2, 3])
        #expect(queue.reserve(bytes: 600) && !queue.reserve(bytes: 371))
        #expect(queue.reserve(bytes: 370) && queue.occupiedBytes == 1000 && queue.usedBytes == 30)
        #expect(evict(&queue, downTo: 990).count == 1)
        queue.release(bytes: 600)
        #expect(queue.reserve(bytes: 610) && !queue.reserve(bytes: 1))
        #expect(evict(&queue, downTo: 0).count == 2)
        #expect(queue.usedBytes == 0)
    }

    @Test("what was wanted once goes in the order in which it came, and makes room for as much as is asked")
    func smallInOrder() throws {
        var queue = try queue(1...5)
        queue.used(try handle(1, in: queue))
        #expect(try evict(&queue, downTo: 25) == [name(1), name(2), name(3)])
        #expect(queue.usedBytes == 20 && queue.count == 2)
        #expect(try queue.find(name(3).digest) == nil)
    }

    @Test("two uses in the small queue lead to the main one, one does not")
    func promotion() throws {
        var queue = try queue(1...12)
        queue.used(try handle(1, in: queue))
        queue.used(try handle(1, in: queue))
        queue.used(try handle(2, in: queue))
        #expect(try evict(&queue, downTo: 110) == [name(2)])
        #expect(try place(1, in: queue) == .main)
        #expect(try place(3, in: queue) == .small)
        #expect(queue.bytes(in: .main) == 10 && queue.bytes(in: .small) == 100)
    }

    @Test("while the small queue is within its tenth, the main queue gives")
    func mainGives() throws {
        var queue = try queue(1...3)
        for number in 4...6 { queue.insert(try name(number), storedBytes: 10, from: .disk) }
        #expect(try place(4, in: queue) == .main)
        // Found on disk in the order 4, 5, 6, each before what was found earlier.
        #expect(try evict(&queue, downTo: 30) == [name(6), name(5), name(4)])
        #expect(try evict(&queue, downTo: 10) == [name(1), name(2)])
    }

    @Test("each use spares a blob of the main queue one round, three at most")
    func rounds() throws {
        var queue = try queue([], bytesMax: 1000)
        for number in 1...4 { queue.insert(try name(number), storedBytes: 10, from: .disk) }
        queue.used(try handle(4, in: queue), times: 100)
        queue.used(try handle(3, in: queue))
        #expect(try evict(&queue, downTo: 20) == [name(2), name(1)])
        #expect(try evict(&queue, downTo: 10) == [name(3)])
        #expect(try evict(&queue, downTo: 0) == [name(4)])
    }

    @Test("what comes back while it is remembered goes into the main queue; what comes too late does not")
    func ghosts() throws {
        var queue = try queue([1])
        #expect(evict(&queue, downTo: 0).count == 1)
        queue.insert(try name(1), storedBytes: 10, from: .parent)
        #expect(try place(1, in: queue) == .main)
        queue = try self.queue([1])
        #expect(evict(&queue, downTo: 0).count == 1)
        // Ticks are 64 KiB: blobs of a large cache, so that they count.
        queue = EvictionQueue(bytesMax: 1 << 30)
        for number in 1...200 {
            queue.insert(try name(number, size: 8 << 20), storedBytes: 8 << 20, from: .parent)
            _ = evict(&queue, downTo: 0)
        }
        queue.insert(try name(200, size: 8 << 20), storedBytes: 8 << 20, from: .parent)
        #expect(try place(200, in: queue) == .main)
        queue.insert(try name(20, size: 8 << 20), storedBytes: 8 << 20, from: .parent)
        #expect(try place(20, in: queue) == .small)
    }

    @Test("a blob that was removed for another reason than room is not remembered")
    func removedIsForgotten() throws {
        var queue = try queue([1])
        queue.remove(try handle(1, in: queue))
        queue.insert(try name(1), storedBytes: 10, from: .parent)
        #expect(try place(1, in: queue) == .small)
    }

    @Test("a blob larger than the small queue is in transit: first to go, unless it is used again")
    func transit() throws {
        var queue = try queue(1...3)
        let large = try name(50, size: 300)
        queue.insert(large, storedBytes: 300, from: .parent)
        #expect(try place(50, in: queue) == .transit)
        #expect(evict(&queue, downTo: 329) == [large])
        // It comes back while it is remembered.
        queue.insert(large, storedBytes: 300, from: .parent)
        #expect(try place(50, in: queue) == .main)
        let other = try name(51, size: 300)
        let second = queue.insert(other, storedBytes: 300, from: .parent)
        queue.used(second)
        #expect(queue.place(of: second) == .main)
        // One that does not fit the main queue stays in transit, whoever uses it.
        let giant = queue.insert(try name(52, size: 901), storedBytes: 20, from: .parent)
        queue.used(giant)
        #expect(queue.place(of: giant) == .transit)
    }

    @Test("never evicts what is pinned, and says when nothing can go", arguments: EvictionQueue.Place.allCases)
    func pinned(place: EvictionQueue.Place) throws {
        var queue = EvictionQueue(bytesMax: 1000)
        let size: Int64 = place == .transit ? 200 : 10
        var handles: [EvictionQueue.Handle] = []
        for number in 1...4 {
            let handle = queue.insert(
                try name(number, size: size), storedBytes: size, from: place == .main ? .disk : .parent)
            #expect(queue.place(of: handle) == place)
            queue.setPinned(handle, true)
            queue.setPinned(handle, true)
            handles.append(handle)
        }
        #expect(!queue.hasCandidates)
        let eviction = queue.evict(downTo: 0)
        #expect(eviction.victims.isEmpty && eviction.isDone)
        queue.setPinned(handles[2], false)
        #expect(evict(&queue, downTo: 0) == [try name(3, size: size)])
        #expect(queue.usedBytes == 3 * size && queue.count == 3)
    }

    @Test("a call looks at no more entries than it may, and says that it is not done")
    func steps() throws {
        var queue = try queue(1...100)
        for number in 1...100 { queue.used(try handle(number, in: queue), times: 3) }
        let first = queue.evict(downTo: 0, stepCountMax: 50)
        #expect(first.victims.isEmpty && !first.isDone)
        #expect(evict(&queue, downTo: 0).count == 100)
        #expect(queue.usedBytes == 0 && queue.count == 0)
    }

    @Test("the same digest is one entry; its bytes on disk are counted once")
    func once() throws {
        var queue = try queue([1])
        let handle = queue.insert(try name(1), storedBytes: 99, from: .disk)
        #expect(queue.count == 1 && queue.usedBytes == 10)
        queue.setStored(handle, bytes: 25)
        #expect(queue.usedBytes == 25 && queue.bytes(in: .small) == 25)
        queue.remove(handle)
        #expect(queue.count == 0 && queue.usedBytes == 0 && queue.bytes(in: .small) == 0)
        #expect(evict(&queue, downTo: 0).isEmpty)
    }

    @Test("names come back whole", arguments: DigestAlgorithm.allCases)
    func wholeNames(algorithm: DigestAlgorithm) throws {
        var queue = EvictionQueue(bytesMax: 1)
        let first = try name(1, size: 1 << 39, algorithm: algorithm)
        let second = try name(2, size: 0, algorithm: algorithm)
        for name in [first, second] { queue.insert(name, storedBytes: 1, from: .parent) }
        #expect(evict(&queue, downTo: 0) == [first, second])
    }

    @Test("digests that differ in a single byte are told apart", arguments: [0, 1, 7, 8, 15, 16, 24, 31])
    func neighbours(index: Int) throws {
        var queue = EvictionQueue(bytesMax: 1000)
        for value in UInt8.min...40 {
            var bytes = [UInt8](repeating: 7, count: 32)
            bytes[index] = value
            let digest = try #require(Digest(algorithm: .sha256, bytes: bytes))
            queue.insert(BlobName(digest: digest, sizeBytes: 1), storedBytes: 1, from: .parent)
            #expect(queue.find(digest).map { queue.name(of: $0).digest } == digest)
        }
        #expect(queue.count == 41)
    }

    @Test("a walk over the idle blobs finds each of them once, and no other")
    func walk() throws {
        var queue = try queue(0..<2_000, bytesMax: 1 << 30)
        for number in stride(from: 0, to: 2_000, by: 3) { queue.setPinned(try handle(number, in: queue), true) }
        for number in stride(from: 1, to: 2_000, by: 3) { queue.remove(try handle(number, in: queue)) }
        var found: [BlobName] = []
        var next: EvictionQueue.Handle? = 0
        while let handle = next {
            let step = queue.nextIdle(from: handle, stepCountMax: 100)
            if let blob = step.blob { found.append(blob) }
            next = step.next
        }
        let expected = try stride(from: 2, to: 2_000, by: 3).map { try name($0) }
        #expect(found.count == expected.count && Set(found) == Set(expected))
    }

    @Test("a million cached blobs take at most 100 bytes of memory each, a full ghost queue included")
    func memory() {
        var queue = EvictionQueue(bytesMax: 2_000_000)
        for number: UInt64 in 0..<2_000_000 {
            let name = Self.fast(number)
            // The second million passes through the small queue and fills the ghost queue.
            queue.insert(name, storedBytes: 1, from: number < 1_000_000 ? .disk : .parent)
            if queue.bytes(in: .small) > 200_000 { _ = queue.evict(downTo: queue.usedBytes - 1) }
            if [1_000, 12_289, 40_000, 786_433, 1_000_000].contains(number + 1) {
                #expect(queue.indexBytes <= queue.count * 100, "\(queue.indexBytes) bytes for \(queue.count)")
            }
        }
        #expect(queue.count > 1_000_000)
        #expect(queue.indexBytes <= queue.count * 100, "\(queue.indexBytes) bytes for \(queue.count)")
    }

    /// A digest without hashing: words as uniform as those of a real one.
    private static func fast(_ number: UInt64) -> BlobName {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(32)
        for part: UInt64 in 0..<4 {
            let word = (number &* 4 &+ part &+ 1) &* 0x9E37_79B9_7F4A_7C15
            withUnsafeBytes(of: word ^ word >> 29) { bytes.append(contentsOf: $0) }
        }
        guard let digest = Digest(algorithm: .sha256, bytes: bytes) else {
            preconditionFailure("32 bytes are a sha256")
        }
        return BlobName(digest: digest, sizeBytes: 1)
    }
}
