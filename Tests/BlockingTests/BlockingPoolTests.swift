// SPDX-License-Identifier: Apache-2.0

import Blocking
import Glibc
import Synchronization
import Testing

private struct WorkFailed: Error, Equatable { let reason: String }

@Suite("BlockingPool", .timeLimit(.minutes(1)))
struct BlockingPoolTests {
    @Test("the result of the work comes back")
    func result() async throws {
        let pool = BlockingPool(name: "test", threadCount: 2, queueCountMax: 8)
        #expect(try await pool.run { 6 * 7 } == 42)
        pool.close()
    }

    @Test("an error of the work passes through unchanged")
    func failure() async {
        let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 8)
        await #expect(throws: WorkFailed(reason: "disk")) {
            try await pool.run { () throws -> Int in throw WorkFailed(reason: "disk") }
        }
        pool.close()
    }

    @Test("threads carry the pool's name and a number, cut to what the kernel keeps")
    func names() async throws {
        let pool = BlockingPool(name: "disk", threadCount: 2, queueCountMax: 8)
        #expect(try await ["disk-0", "disk-1"].contains(pool.run { threadName() }))
        pool.close()
        let long = BlockingPool(name: "a-very-long-pool-name", threadCount: 1, queueCountMax: 8)
        #expect(try await long.run { threadName() } == "a-very-long-poo")
        long.close()
    }

    @Test("work beyond the queue's maximum is refused at once, and the pool goes on")
    func full() async throws {
        let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 1)
        let gate = Gate()
        try pool.submit { gate.pass() }
        await gate.waitForEntry()
        try pool.submit { gate.pass() }
        #expect(pool.queuedCount == 1)
        #expect(throws: BlockingError.full) { try pool.submit {} }
        await #expect(throws: BlockingError.full) { try await pool.run { 1 } }
        gate.open(count: 2)
        await gate.waitForEntry()
        #expect(try await pool.run { 2 } == 2)
        pool.close()
    }

    @Test("cancelling the waiting task does not stop the work, and its result still comes back")
    func cancellation() async throws {
        let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 8)
        let gate = Gate()
        let task = Task {
            try await pool.run {
                gate.pass()
                return "done"
            }
        }
        await gate.waitForEntry()
        task.cancel()
        gate.open()
        #expect(try await task.value == "done")
        pool.close()
    }

    @Test("close runs what is queued, then refuses")
    func close() async throws {
        let pool = BlockingPool(name: "test", threadCount: 2, queueCountMax: 100)
        let ranCount = Atomic(0)
        for _ in 0..<100 { try pool.submit { ranCount.add(1, ordering: .relaxed) } }
        pool.close()
        #expect(ranCount.load(ordering: .relaxed) == 100)
        #expect(throws: BlockingError.closed) { try pool.submit {} }
        await #expect(throws: BlockingError.closed) { try await pool.run {} }
        pool.close()
    }

    @Test("finish suspends until the last job has run; further calls return at once")
    func finish() async throws {
        let pool = BlockingPool(name: "test", threadCount: 3, queueCountMax: 8)
        let gate = Gate()
        let hasRun = Atomic(false)
        try pool.submit {
            gate.pass()
            hasRun.store(true, ordering: .releasing)
        }
        await gate.waitForEntry()
        async let finished: Void = pool.finish()
        gate.open()
        await finished
        let hasRunNow = hasRun.load(ordering: .acquiring)
        #expect(hasRunNow)
        await pool.finish()
    }

    @Test("a dropped pool still runs what it took")
    func dropped() async throws {
        let gate = Gate()
        do {
            let pool = BlockingPool(name: "test", threadCount: 1, queueCountMax: 8)
            try pool.submit { gate.pass() }
            await gate.waitForEntry()
            try pool.submit { gate.pass() }
        }
        gate.open(count: 2)
        await gate.waitForEntry()
    }

    @Test("at most threadCount jobs run at once, and none is lost")
    func parallelism() async throws {
        let pool = BlockingPool(name: "test", threadCount: 3, queueCountMax: 2_000)
        let peak = Peak()
        let sum = try await withThrowingTaskGroup { group in
            for number in 0..<1_000 {
                group.addTask {
                    try await pool.run {
                        peak.enter()
                        defer { peak.leave() }
                        return number
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 499_500)
        #expect((1...3).contains(peak.highestCount))
        pool.close()
    }
}

/// How many were inside at once, at most.
private final class Peak: Sendable {
    private let counts = Mutex((inside: 0, highest: 0))

    func enter() {
        counts.withLock { counts in
            counts.inside += 1
            counts.highest = max(counts.highest, counts.inside)
        }
    }

    func leave() { counts.withLock { $0.inside -= 1 } }

    var highestCount: Int { counts.withLock { $0.highest } }
}

/// The name of the calling thread as the kernel has it.
func threadName() -> String {
    guard let file = fopen("/proc/thread-self/comm", "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count).filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
}
