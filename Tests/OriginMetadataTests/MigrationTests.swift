// SPDX-License-Identifier: Apache-2.0

import Logging
import OriginMetadata
import Telemetry
import TestSupport
import Testing

@Suite("migrations", .enabled(if: PostgresLease.isAvailable))
struct MigrationTests {
    private let lease: PostgresLease
    private let first = Migration(version: 1, name: "first", script: "CREATE TABLE a (x int); INSERT INTO a VALUES (1)")
    private let second = Migration(version: 2, name: "second", script: "ALTER TABLE a ADD y int")

    init() async throws { lease = try await PostgresLease() }

    private func open() -> Database {
        Database(.init(url: lease.url), logger: Logger(label: "test"), metrics: Metrics())
    }

    @Test("steps run once, in order, and later ones follow")
    func steps() async throws {
        let database = open()
        try await database.migrate([first])
        try await database.migrate([first])
        try await database.migrate([first, second])
        let versions = try await database.run { session throws(DatabaseError) in
            var versions: [Int64] = []
            for row in try session.query("SELECT version FROM schema_migrations ORDER BY version") {
                versions.append(try row[0])
            }
            return versions
        }
        #expect(versions == [1, 2])
        await database.close()
    }

    @Test("origins that start at once migrate once")
    func concurrency() async throws {
        let databases = (0..<4).map { _ in open() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for database in databases { group.addTask { try await database.start() } }
            try await group.waitForAll()
        }
        for database in databases { await database.close() }
    }

    @Test("an older program refuses a newer schema, in one line")
    func tooNew() async throws {
        let database = open()
        try await database.migrate([first, second])
        await #expect {
            try await database.migrate([first])
        } throws: { error in
            let message = "\(error)"
            return (error as? DatabaseError)?.kind == .schemaTooNew && message.contains("version 2")
                && message.contains("knows 1") && !message.contains("\n")
        }
        await database.close()
    }

    @Test("a step that was altered after it ran is refused")
    func altered() async throws {
        let database = open()
        try await database.migrate([first])
        let kind = await failure {
            try await database.migrate([Migration(version: 1, name: "first", script: "SELECT 1")])
        }
        #expect(kind == .invalidData)
        await database.close()
    }

    @Test("a step that fails leaves nothing, and a later start goes on from there")
    func failed() async throws {
        let database = open()
        let broken = Migration(version: 2, name: "second", script: "CREATE TABLE b (x int); SELECT 1 / 0")
        let kind = await failure { try await database.migrate([first, broken]) }
        #expect(kind == .invalidData)
        try await database.migrate([first, Migration(version: 2, name: "second", script: "CREATE TABLE b (x int)")])
        await database.close()
    }

    @Test("the embedded steps are numbered from 1 without gaps")
    func numbering() {
        #expect(Migration.all.map(\.version) == Array(1...Int64(Migration.all.count)))
        #expect(Migration.all.allSatisfy { $0.script.hasPrefix("-- SPDX-License-Identifier: Apache-2.0") })
    }
}
