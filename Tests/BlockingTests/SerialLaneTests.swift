// SPDX-License-Identifier: Apache-2.0

import Blocking
import Synchronization
import Testing

@Suite("SerialLane", .timeLimit(.minutes(1)))
struct SerialLaneTests {
    @Test("jobs of a lane run in order and never two at once, on a pool of several threads")
    func order() async throws {
        let pool = BlockingPool(name: "test", threadCount: 4, queueCountMax: 8)
        let lane = SerialLane(on: pool, queueCountMax: 1_000)
        let seen = Mutex<[Int]>([])
        let runningCount = Atomic(0)
        let overlapCount = Atomic(0)
        for number in 0..<1_000 {
            try lane.submit {
                if runningCount.add(1, ordering: .relaxed).newValue > 1 { overlapCount.add(1, ordering: .relaxed) }
                seen.withLock { $0.append(number) }
                runningCount.subtract(1, ordering: .relaxed)
            }
        }
        // Refused only if the lane is still full of the above.
        while true {
            do {
                try await lane.run {}
                break
            } catch BlockingError.full { await Task.yield() }
        }
        #expect(seen.withLock { $0 } == Array(0..<1_000))
        #expect(overlapCount.load(ordering: .relaxed) == 0)
        pool.close()
    }

    @Test("run returns results and passes errors through")
    func run() async throws {
        struct Refused: Error {}
        let pool = BlockingPool(name: "test", threadCount: 2, queueCountMax: 8)
        let lane = SerialLane(on: pool)
        #expect(try await lane.run { "hashed" } == "hashed")
        await #expect(throws: Refused.self) { try await lane.run { throw Refused() } }
        #expect(try await lane.run { "still alive" } == "still alive")
        pool.close()
    }

    @Test("a busy lane holds one thread; other lanes go on")
    func independence() async throws {
        let pool = BlockingPool(name: "test", threadCount: 2, queueCountMax: 8)
        let gate = Gate()
        let blocked = SerialLane(on: pool)
        try blocked.submit { gate.pass() }
        try blocked.submit {}
        try blocked.submit {}
        await gate.waitForEntry()
        #expect(try await SerialLane(on: pool).run { 1 } == 1)
        gate.open()
        try await blocked.run {}
        pool.close()
    }

    @Test("a full lane refuses")
    func full() async throws {
        let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 8)
        let lane = SerialLane(on: pool, queueCountMax: 1)
        let gate = Gate()
        try lane.submit { gate.pass() }
        await gate.waitForEntry()
        try lane.submit {}
        #expect(throws: BlockingError.full) { try lane.submit {} }
        gate.open()
        pool.close()
    }

    @Test("a refusal by the pool leaves the lane usable")
    func poolFull() async throws {
        let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 1)
        let lane = SerialLane(on: pool)
        let gate = Gate()
        try pool.submit { gate.pass() }
        await gate.waitForEntry()
        try pool.submit { gate.pass() }
        #expect(throws: BlockingError.full) { try lane.submit { Issue.record("a refused job must not run") } }
        gate.open(count: 2)
        await gate.waitForEntry()
        #expect(try await lane.run { 1 } == 1)
        pool.close()
        #expect(throws: BlockingError.closed) { try lane.submit {} }
    }
}
