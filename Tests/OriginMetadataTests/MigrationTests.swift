// SPDX-License-Identifier: Apache-2.0

import Hashing
import Logging
import OCI
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

    @Test("tokens of each kind that an older program made are what they were")
    func tokensOfOlderPrograms() async throws {
        let database = open()
        try await database.migrate(Migration.all.filter { $0.version <= 3 })
        let kinds = [TokenKind.user, .organization, .project, .trust, .pull]
        try await database.run { session throws(DatabaseError) in
            try session.query("INSERT INTO organizations (slug, label) VALUES ('acme', 'aaaaaaaaaaaaaaaa')")
            try session.query("INSERT INTO users (name, is_administrator) VALUES ('ann', false)")
            try session.query("INSERT INTO memberships SELECT o.id, u.id, 'member' FROM organizations o, users u")
            try session.query(
                "INSERT INTO projects (organization_id, public_id, name) SELECT id, 'projectaaa', 'p' FROM organizations"
            )
            for kind in kinds {
                try session.query(
                    """
                    INSERT INTO tokens (kind, organization_id, user_id, project_id, name, secret_sha256, expires_at)
                    SELECT $1, CASE WHEN $1 <> 'user' THEN o.id END, CASE WHEN $1 = 'user' THEN u.id END,
                        CASE WHEN $1 IN ('project', 'trust', 'pull') THEN p.id END, 'old',
                        sha256(convert_to($1, 'UTF8')), now() + interval '1 hour'
                    FROM organizations o, users u, projects p
                    """,
                    .text(kind.rawValue))
            }
        }
        try await database.migrate(Migration.all)
        for kind in kinds {
            let token = try await database.token(secretSHA256: SHA256.hash(Array(kind.rawValue.utf8)).bytes)
            #expect(token?.kind == kind && token?.revokedAt == nil && token?.madeWith == nil, "\(kind)")
        }
        await database.close()
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
