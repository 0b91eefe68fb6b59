// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import OCI
import RegistryTrace
import Testing

/// The eviction queue beside a slow model that is written as the rules are told.
@Suite("Eviction over long histories")
struct EvictionModelTests {
    /// S3-FIFO with arrays. Ghosts are not modelled: where a blob that comes is put, the model looks at the queue, and
    /// checks that it may be there.
    private struct Model {
        struct Entry {
            let name: BlobName
            var stored: Int64
            var frequency = 0
            var isPinned = false
        }

        let bytesMax: Int64
        /// Oldest first.
        var small: [Entry] = []
        var main: [Entry] = []
        var transit: [Entry] = []
        var evicted: Set<Digest> = []

        var all: [Entry] { small + main + transit }
        var usedBytes: Int64 { all.reduce(0) { $0 + $1.stored } }
        var smallMax: Int64 { bytesMax / 10 }

        func bytes(_ line: [Entry]) -> Int64 { line.reduce(0) { $0 + $1.stored } }

        mutating func evict(downTo target: Int64) -> [BlobName] {
            var victims: [BlobName] = []
            while usedBytes > target, all.contains(where: { !$0.isPinned }) {
                if transit.contains(where: { !$0.isPinned }) {
                    let entry = transit.removeFirst()
                    if entry.isPinned { transit.append(entry) } else { victims.append(entry.name) }
                } else if small.contains(where: { !$0.isPinned }),
                    bytes(small) > smallMax || !main.contains(where: { !$0.isPinned })
                {
                    var entry = small.removeFirst()
                    if entry.isPinned {
                        small.append(entry)
                    } else if entry.frequency >= 2 {
                        entry.frequency = 0
                        main.append(entry)
                    } else {
                        victims.append(entry.name)
                    }
                } else {
                    var entry = main.removeFirst()
                    if entry.isPinned {
                        main.append(entry)
                    } else if entry.frequency > 0 {
                        entry.frequency -= 1
                        main.append(entry)
                    } else {
                        victims.append(entry.name)
                    }
                }
            }
            evicted.formUnion(victims.map(\.digest))
            return victims
        }

        mutating func change(_ name: BlobName, _ body: (inout Entry) -> Void) {
            for line in [\Model.small, \Model.main, \Model.transit] {
                guard let index = self[keyPath: line].firstIndex(where: { $0.name == name }) else { continue }
                body(&self[keyPath: line][index])
            }
        }

        mutating func use(_ name: BlobName, times: Int) {
            if let index = transit.firstIndex(where: { $0.name == name }) {
                guard name.sizeBytes <= bytesMax - smallMax else { return }
                main.append(transit.remove(at: index))
            } else {
                change(name) { $0.frequency = min(3, $0.frequency + times) }
            }
        }

        mutating func remove(_ name: BlobName) {
            small.removeAll { $0.name == name }
            main.removeAll { $0.name == name }
            transit.removeAll { $0.name == name }
        }
    }

    @Test(
        "agrees with the model in every step: order, bytes, pins, and what is left",
        arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func model(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let names = try (0..<60).map { number in
            let size = [1, 5, 10, 30, 99, 101, 250, 400, 950][random.below(9)]
            let bytes = (0..<32).map { UInt8(truncatingIfNeeded: (number + 1) * (31 + $0 * 2) + $0) }
            return BlobName(
                digest: try #require(Digest(algorithm: .sha256, bytes: bytes)), sizeBytes: Int64(size))
        }
        var queue = EvictionQueue(bytesMax: 1000)
        var model = Model(bytesMax: 1000)
        for step in 0..<6_000 {
            let name = names[random.below(names.count)]
            let known = queue.find(name.digest)
            #expect((known != nil) == model.all.contains { $0.name == name })
            switch (known, random.below(8)) {
            case (nil, 0):
                queue.insert(name, storedBytes: name.sizeBytes, from: .disk)
                model.main.insert(Model.Entry(name: name, stored: name.sizeBytes), at: 0)
            case (nil, _):
                let stored = Int64(random.below(Int(name.sizeBytes) + 1))
                let handle = queue.insert(name, storedBytes: stored, from: .parent)
                let entry = Model.Entry(name: name, stored: stored)
                switch queue.place(of: handle) {
                case .small where name.sizeBytes <= 100: model.small.append(entry)
                case .transit where name.sizeBytes > 100: model.transit.append(entry)
                // Only what was evicted before comes here at once.
                case .main where name.sizeBytes <= 900 && model.evicted.contains(name.digest): model.main.append(entry)
                default: Issue.record("step \(step): a blob of \(name.sizeBytes) bytes went to a wrong queue")
                }
            case (let handle?, 0):
                queue.remove(handle)
                model.remove(name)
            case (let handle?, 1), (let handle?, 2):
                let isPinned = random.happens(0.4)
                queue.setPinned(handle, isPinned)
                model.change(name) { $0.isPinned = isPinned }
            case (let handle?, 3):
                let stored = Int64(random.below(Int(name.sizeBytes) + 1))
                queue.setStored(handle, bytes: stored)
                model.change(name) { $0.stored = stored }
            case (let handle?, _):
                let times = random.within(0...2)
                queue.used(handle, times: times)
                if times > 0 { model.use(name, times: times) }
            }
            if random.happens(0.2) {
                let target = Int64(random.below(1200))
                var victims: [BlobName] = []
                while true {
                    let eviction = queue.evict(downTo: target, stepCountMax: random.within(1...20))
                    victims += eviction.victims
                    if eviction.isDone { break }
                }
                #expect(victims == model.evict(downTo: target), "step \(step)")
            }
            #expect(queue.count == model.all.count)
            #expect(queue.usedBytes == model.usedBytes)
            #expect(queue.bytes(in: .small) == model.bytes(model.small))
            #expect(queue.bytes(in: .main) == model.bytes(model.main))
            #expect(queue.bytes(in: .transit) == model.bytes(model.transit))
            #expect(queue.hasCandidates == model.all.contains { !$0.isPinned })
            for entry in model.all {
                #expect(queue.find(entry.name.digest).map { queue.isPinned($0) } == entry.isPinned)
            }
        }
        // Nothing has leaked: with all pins gone, everything can go.
        for name in names { queue.find(name.digest).map { queue.setPinned($0, false) } }
        while !queue.evict(downTo: -1).isDone {}
        #expect(queue.count == 0 && queue.usedBytes == 0 && !queue.hasCandidates)
    }

    @Test("misses no more bytes than LRU on a registry's trace, with a tenth of the working set", arguments: [1, 4])
    func trace(seed: UInt64) {
        var shape = RegistryTrace.Shape()
        shape.pullCount = 20_000
        shape.imageCount = 1_000
        shape.nodeCount = 150
        let trace = RegistryTrace(seed: seed, shape: shape)
        let bytesMax = trace.workingSetBytes / 10
        let ours = Replay.edge(trace, bytesMax: bytesMax)
        let peer = Replay.leastRecentlyUsed(trace, bytesMax: bytesMax)
        #expect(ours.bytes <= peer.bytes, "\(ours.byteRatio(of: trace)) and \(peer.byteRatio(of: trace))")
        #expect(ours.requests > 0 && peer.requests > 0)
    }
}
