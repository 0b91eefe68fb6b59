// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Logging
import OriginMetadata
import Synchronization
import Telemetry
import TestSupport
import Testing

@Suite("database", .enabled(if: PostgresLease.isAvailable))
struct DatabaseTests {
    private let lease: PostgresLease

    init() async throws { lease = try await PostgresLease() }

    @Test("a transaction commits as one, and rolls back as one")
    func transactions() async throws {
        let database = try await lease.database()
        struct Refusal: Error {}
        let kind = await failure {
            try await database.transaction { session throws(DatabaseError) in
                try session.query("INSERT INTO users (name) VALUES ('a')")
                throw DatabaseError(.other, message: "changed my mind")
            }
        }
        #expect(kind == .other)
        try await database.transaction { session throws(DatabaseError) in
            _ = try session.query("INSERT INTO users (name) VALUES ('b')")
        }
        #expect(try await names(database) == ["b"])
        await database.close()
    }

    @Test("a transaction that goes on after a failed statement is not taken for committed")
    func swallowedFailure() async throws {
        let database = try await lease.database()
        let kind = await failure {
            try await database.transaction { session throws(DatabaseError) in
                try session.query("INSERT INTO users (name) VALUES ('a')")
                _ = try? session.query("SELECT 1 / 0")
            }
        }
        #expect(kind == .other)
        #expect(try await names(database).isEmpty)
        await database.close()
    }

    @Test("a transaction that was left open in a plain job is rolled back before the next job")
    func leftOpen() async throws {
        let database = try await lease.database { $0.connectionCountMax = 1 }
        try await database.run { session throws(DatabaseError) in
            try session.query("BEGIN")
            _ = try session.query("INSERT INTO users (name) VALUES ('a')")
        }
        #expect(try await names(database).isEmpty)
        await database.close()
    }

    @Test("transactions that deadlock are run again and all succeed")
    func deadlock() async throws {
        let database = try await lease.database()
        _ = try await database.createUser(name: "a", isAdministrator: false)
        _ = try await database.createUser(name: "b", isAdministrator: false)
        let meeting = Meeting(count: 2)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for names in [("a", "b"), ("b", "a")] {
                group.addTask {
                    let isFirstTry = Mutex(true)
                    try await database.transaction { session throws(DatabaseError) in
                        try session.query("UPDATE users SET is_administrator = true WHERE name = $1", .text(names.0))
                        if isFirstTry.withLock({ first in
                            defer { first = false }; return first
                        }) {
                            meeting.arrive()
                        }
                        try session.query("UPDATE users SET is_administrator = true WHERE name = $1", .text(names.1))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await database.isBootstrapped())
        await database.close()
    }

    @Test("serialization failures are retried five times in all")
    func serialization() async throws {
        let database = try await lease.database()
        let attempts = Mutex(0)
        let kind = await failure {
            try await database.transaction { session throws(DatabaseError) in
                attempts.withLock { $0 += 1 }
                try session.execute(script: "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$")
            }
        }
        #expect(kind == .serialization)
        #expect(attempts.withLock { $0 } == 20)
        await database.close()
    }

    @Test("a full queue refuses at once; what waits still runs")
    func fullQueue() async throws {
        let database = try await lease.database {
            $0.connectionCountMax = 1
            $0.queueCountMax = 1
        }
        let (started, startedContinuation) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        async let first: Void = database.run { session throws(DatabaseError) in
            startedContinuation.finish()
            release.wait()
        }
        for await _ in started {}
        // The connection is busy, and one job may wait: of two more, one is refused while the other waits.
        let kinds = await withTaskGroup(of: DatabaseError.Kind?.self) { group in
            for _ in 0..<2 {
                group.addTask { await failure { try await database.run { _ throws(DatabaseError) in 0 } } }
            }
            var kinds: [DatabaseError.Kind?] = []
            for await kind in group {
                kinds.append(kind)
                release.signal()
            }
            return kinds
        }
        #expect(kinds == [.overloaded, nil] as [DatabaseError.Kind?])
        try await first
        await database.close()
    }

    @Test("a job that waited for too long is refused while the connection is still busy, and does not run any more")
    func queueTimeout() async throws {
        let database = try await lease.database {
            $0.connectionCountMax = 1
            $0.queueTimeout = .milliseconds(500)
        }
        let (started, startedContinuation) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        async let first: Void = database.run { session throws(DatabaseError) in
            startedContinuation.finish()
            release.wait()
        }
        for await _ in started {}
        let statementCount = database.statementCount
        let kinds = await withTaskGroup(of: DatabaseError.Kind?.self) { group in
            for _ in 0..<10 { group.addTask { await failure { try await database.edges() } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(kinds == Array(repeating: .overloaded, count: 10))
        release.signal()
        try await first
        #expect(database.statementCount == statementCount)
        #expect(await failure { try await database.edges() } == nil)
        await database.close()
    }

    @Test("a connection that the server ended is replaced before the next job")
    func reconnection() async throws {
        let database = try await lease.database { $0.connectionCountMax = 1 }
        let other = try await lease.database { $0.connectionCountMax = 1 }
        let processID: Int64 = try await database.run { session throws(DatabaseError) in
            guard let row = try session.query("SELECT pg_backend_pid()").first else { return 0 }
            return try row[0]
        }
        try await other.run { session throws(DatabaseError) in
            _ = try session.query("SELECT pg_terminate_backend($1::int8::int4, 5000)", .int8(processID))
        }
        #expect(try await names(database).isEmpty)
        await database.close()
        await other.close()
    }

    @Test("a connection lost inside a job is unavailable, and the next job has a new one")
    func lossInside() async throws {
        let database = try await lease.database { $0.connectionCountMax = 1 }
        let kind = await failure {
            try await database.run { session throws(DatabaseError) in
                _ = try session.query("SELECT pg_terminate_backend(pg_backend_pid())")
            }
        }
        #expect(kind == .unavailable)
        #expect(try await names(database).isEmpty)
        await database.close()
    }

    @Test("a server that stops answering costs a deadline, and its connection")
    func frozenServer() async throws {
        let database = try await lease.database {
            $0.connectionCountMax = 1
            $0.statementTimeout = .seconds(2)
        }
        let processID: Int64 = try await database.run { session throws(DatabaseError) in
            guard let row = try session.query("SELECT pg_backend_pid()").first else { return 0 }
            return try row[0]
        }
        kill(pid_t(processID), SIGSTOP)
        let kind = await failure { try await database.edges() }
        kill(pid_t(processID), SIGCONT)
        #expect(kind == .timeout)
        #expect(try await names(database).isEmpty)
        await database.close()
    }

    @Test("a statement that takes longer than its timeout is ended by the server, and the connection lives on")
    func statementTimeout() async throws {
        let database = try await lease.database {
            $0.connectionCountMax = 1
            $0.statementTimeout = .seconds(2)
        }
        let kind = await failure {
            try await database.run { session throws(DatabaseError) in
                _ = try session.query("SELECT pg_sleep(60)")
            }
        }
        #expect(kind == .timeout)
        #expect(try await names(database).isEmpty)
        await database.close()
    }

    @Test("violated constraints are named")
    func violations() async throws {
        let database = try await lease.database()
        let duplicate = await failure {
            try await database.run { session throws(DatabaseError) in
                try session.query("INSERT INTO users (name) VALUES ('a')")
                _ = try session.query("INSERT INTO users (name) VALUES ('a')")
            }
        }
        #expect(duplicate == .uniqueViolation(constraint: "users_name_key"))
        let orphan = await failure {
            try await database.run { session throws(DatabaseError) in
                _ = try session.query("INSERT INTO repositories (organization_id, name) VALUES (999, 'a')")
            }
        }
        #expect(orphan == .foreignKeyViolation(constraint: "repositories_organization_id_fkey"))
        await database.close()
    }

    @Test("a server that is not there is unavailable; others fail at once while one attempt waits")
    func away() async throws {
        var configuration = Database.Configuration(url: "postgresql:///x?host=/nonexistent")
        configuration.startTimeout = .zero
        let database = Database(configuration, logger: Logger(label: "test"), metrics: Metrics())
        #expect(await failure { try await database.start() } == .unavailable)
        #expect(await failure { try await database.edges() } == .unavailable)
        await database.close()
    }

    @Test(
        "a URL that is none is refused without being repeated",
        arguments: ["postgresql://user:hunter2@[::1/x", "postgresql://u:hunter2@h:1:2/%zz", "hunter2"])
    func invalidURL(url: String) async throws {
        let database = Database(.init(url: url), logger: Logger(label: "test"), metrics: Metrics())
        await #expect {
            try await database.start()
        } throws: { error in
            (error as? DatabaseError)?.kind == .invalidData && !"\(error)".contains("hunter2")
        }
        await database.close()
    }

    @Test("after close jobs are refused")
    func closed() async throws {
        let database = try await lease.database()
        await database.close()
        #expect(await failure { try await database.edges() } == .unavailable)
    }

    private func names(_ database: Database) async throws -> [String] {
        try await database.run { session throws(DatabaseError) in
            var names: [String] = []
            for row in try session.query("SELECT name FROM users ORDER BY name") { names.append(try row[0]) }
            return names
        }
    }
}

/// Lets threads wait until all of them are here.
private final class Meeting: Sendable {
    private let missing: Mutex<Int>
    private let open = DispatchSemaphore(value: 0)

    init(count: Int) { missing = Mutex(count) }

    func arrive() {
        let isLast = missing.withLock { missing in
            missing -= 1
            return missing == 0
        }
        if !isLast { open.wait() }
        open.signal()
    }
}
