// SPDX-License-Identifier: Apache-2.0

import Blocking
import Glibc
import Synchronization
import Testing

@Suite("OwnerThread", .timeLimit(.minutes(1)))
struct OwnerThreadTests {
    /// Notes the threads that made, used, and released it. Not copyable, as a connection would be.
    private struct Connection: ~Copyable {
        let log: Log
        var useCount = 0

        init(_ log: Log) {
            self.log = log
            log.note("make")
        }

        deinit { log.note("release") }
    }

    private final class Log: Sendable {
        private let entries = Mutex<[(event: String, thread: UInt)]>([])

        func note(_ event: String) {
            let thread = UInt(pthread_self())
            entries.withLock { $0.append((event, thread)) }
        }

        var events: [String] { entries.withLock { $0.map(\.event) } }
        var threadCount: Int { entries.withLock { Set($0.map(\.thread)).count } }
    }

    @Test("the resource is made, used, and released on one thread; close releases it")
    func ownership() async throws {
        let log = Log()
        let owner = OwnerThread<Connection>(name: "database", queueCountMax: 8) { Connection(log) }
        for _ in 0..<3 {
            _ = try await owner.run { connection in
                connection.useCount += 1
                connection.log.note("use")
            }
        }
        #expect(try await owner.run { $0.useCount } == 3)
        #expect(try await owner.run { _ in threadName() } == "database")
        owner.close()
        #expect(log.events == ["make", "use", "use", "use", "release"])
        #expect(log.threadCount == 1)
    }

    @Test("errors pass through; a full queue and a closed thread refuse")
    func refusals() async throws {
        struct QueryFailed: Error {}
        let owner = OwnerThread(name: "database", queueCountMax: 1) { 0 }
        await #expect(throws: QueryFailed.self) { try await owner.run { _ throws -> Int in throw QueryFailed() } }
        let gate = Gate()
        try owner.submit { _ in gate.pass() }
        await gate.waitForEntry()
        try owner.submit { $0 += 1 }
        #expect(owner.queuedCount == 1)
        #expect(throws: BlockingError.full) { try owner.submit { _ in } }
        gate.open()
        await owner.finish()
        await #expect(throws: BlockingError.closed) { try await owner.run { $0 } }
    }
}
