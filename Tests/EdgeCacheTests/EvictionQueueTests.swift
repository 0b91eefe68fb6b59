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

    private func queue(_ numbers: [Int], bytesMax: Int64 = 100) throws -> EvictionQueue {
        var queue = EvictionQueue(bytesMax: bytesMax)
        for number in numbers { queue.insert(try name(number), storedBytes: 10, isComplete: true, isFresh: true) }
        return queue
    }

    private func names(_ victims: [EvictionQueue.Victim]) -> [BlobName] { victims.map(\.name) }

    @Test("evicts nothing while there is room")
    func room() throws {
        var queue = try queue([1, 2, 3])
        let victims = queue.evict(incomingBytes: 70)
        #expect(victims.isEmpty)
        #expect(queue.usedBytes == 30)
    }

    @Test("evicts what was used longest ago, down to a little below the maximum")
    func oldestFirst() throws {
        var evicted: [BlobName]
        var queue = try queue(Array(1...10))
        queue.used(try #require(queue.find(name(1).digest)))
        evicted = names(queue.evict(incomingBytes: 1))
        #expect(try evicted == [name(2)])
        evicted = names(queue.evict(incomingBytes: 20))
        #expect(try evicted == [name(3), name(4)])
        #expect(queue.usedBytes == 70)
        #expect(try queue.find(name(3).digest) == nil)
        #expect(try queue.find(name(1).digest) != nil)
    }

    @Test("never evicts what is pinned, and says when that leaves no room")
    func pinned() throws {
        var evicted: [BlobName]
        var queue = try queue(Array(1...10))
        for number in 1...9 { queue.setPinned(try #require(queue.find(name(number).digest)), true) }
        evicted = names(queue.evict(incomingBytes: 50))
        #expect(try evicted == [name(10)])
        #expect(!queue.hasRoom(forBytes: 50))
        #expect(queue.hasRoom(forBytes: 10))
        queue.setPinned(try #require(queue.find(name(4).digest)), false)
        evicted = names(queue.evict(incomingBytes: 50))
        #expect(try evicted == [name(4)])
    }

    @Test("evicts for the file system's sake below its own maximum")
    func missing() throws {
        var evicted: [BlobName]
        var queue = try queue([1, 2, 3])
        evicted = names(queue.evict(incomingBytes: 0, missingBytes: 15))
        #expect(try evicted == [name(1), name(2)])
    }

    @Test("a blob found by the scan goes before all that were used")
    func found() throws {
        var queue = try queue([1, 2])
        queue.insert(try name(3), storedBytes: 10, isComplete: false, isFresh: false)
        let victims = queue.evict(incomingBytes: 0, missingBytes: 1)
        #expect(try names(victims) == [name(3)])
        #expect(victims.first?.isComplete == false)
    }

    @Test("the same digest is one entry; its bytes on disk are counted once")
    func once() throws {
        var queue = try queue([1])
        let handle = queue.insert(try name(1), storedBytes: 99, isComplete: true, isFresh: false)
        #expect(queue.count == 1 && queue.usedBytes == 10)
        queue.setStored(handle, bytes: 25)
        #expect(queue.usedBytes == 25)
        queue.remove(handle)
        #expect(queue.count == 0 && queue.usedBytes == 0)
        let victims = queue.evict(incomingBytes: 1000)
        #expect(victims.isEmpty)
    }

    @Test("names come back whole", arguments: DigestAlgorithm.allCases)
    func wholeNames(algorithm: DigestAlgorithm) throws {
        var queue = EvictionQueue(bytesMax: 1)
        let first = try name(1, size: 1 << 39, algorithm: algorithm)
        let second = try name(2, size: 0, algorithm: algorithm)
        for name in [first, second] { queue.insert(name, storedBytes: 1, isComplete: true, isFresh: true) }
        let evicted = names(queue.evict(incomingBytes: 1))
        #expect(evicted == [first, second])
    }

    @Test("digests that differ in a single byte are told apart", arguments: [0, 1, 7, 8, 15, 16, 24, 31])
    func neighbours(index: Int) throws {
        var queue = EvictionQueue(bytesMax: 1000)
        for value in UInt8.min...40 {
            var bytes = [UInt8](repeating: 7, count: 32)
            bytes[index] = value
            let digest = try #require(Digest(algorithm: .sha256, bytes: bytes))
            queue.insert(BlobName(digest: digest, sizeBytes: 1), storedBytes: 1, isComplete: true, isFresh: true)
            #expect(queue.find(digest).map { queue.name(of: $0).digest } == digest)
        }
        #expect(queue.count == 41)
    }

    @Test("agrees with a simple model over a long random history")
    func model() throws {
        var queue = EvictionQueue(bytesMax: 400)
        var model: [BlobName] = []  // Oldest first; each of 10 bytes.
        var random = SystemRandomNumberGenerator()
        for _ in 0..<5_000 {
            let name = try name(Int.random(in: 0..<300, using: &random))
            let handle = queue.find(name.digest)
            #expect((handle != nil) == model.contains(name))
            switch (handle, Int.random(in: 0..<4, using: &random)) {
            case (nil, _):
                let victims = names(queue.evict(incomingBytes: 10))
                #expect(victims == Array(model.prefix(victims.count)))
                model.removeFirst(victims.count)
                queue.insert(name, storedBytes: 10, isComplete: true, isFresh: true)
                model.append(name)
            case (let handle?, 0):
                queue.remove(handle)
                model.removeAll { $0 == name }
            case (let handle?, _):
                queue.used(handle)
                model.removeAll { $0 == name }
                model.append(name)
            }
            #expect(queue.count == model.count)
            #expect(queue.usedBytes == Int64(model.count) * 10)
        }
    }

    @Test("a cached blob takes at most 100 bytes of memory", arguments: [1_000, 12_289, 40_000])
    func memory(count: Int) throws {
        var queue = EvictionQueue(bytesMax: .max)
        for number in 0..<count {
            queue.insert(try name(number), storedBytes: 1, isComplete: true, isFresh: false)
        }
        #expect(queue.indexBytes <= queue.count * 100)
    }
}
