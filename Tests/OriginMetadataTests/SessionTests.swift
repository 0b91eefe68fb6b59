// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OriginMetadata
import TestSupport
import Testing

@Suite("session", .enabled(if: PostgresLease.isAvailable))
struct SessionTests {
    /// Runs `body` with a database of its own.
    private func withDatabase(_ body: (Database) async throws -> Void) async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        try await body(database)
        await database.close()
    }

    private func number(
        _ sql: StaticString,
        column: Int = 0,
        from database: Database
    ) async throws(DatabaseError) -> Int64 {
        try await database.run { session throws(DatabaseError) in
            guard let row = try session.query(sql).first else { return 0 }
            return try row[column]
        }
    }

    @Test("values of every type come back as they were")
    func roundTrip() async throws {
        try await withDatabase { database in
            let id = UUID()
            let instant = Date(timeIntervalSince1970: 1_700_000_000.25)
            try await database.run { session throws(DatabaseError) in
                let rows = try session.query(
                    "SELECT $1::bool, $2::int8, $3::float8, $4::text, $5::bytea, $6::timestamptz, $7::uuid",
                    .bool(true), .int8(.min), .float8(-0.5), .text("päth/名"), .bytea([0, 255, 0]),
                    .timestamptz(instant), .uuid(id))
                guard let row = rows.first else { return }
                #expect(try row[0] == true)
                #expect(try row[1] == Int64.min)
                #expect(try row[2] == -0.5)
                #expect(try row[3] == "päth/名")
                #expect(try row[4] == [0, 255, 0] as [UInt8])
                #expect(try row[5] == instant)
                #expect(try row[6] == id)
            }
        }
    }

    @Test("NULL goes in and out, and is told from the empty value")
    func null() async throws {
        try await withDatabase { database in
            try await database.run { session throws(DatabaseError) in
                let rows = try session.query(
                    "SELECT $1::text, $2::bytea, $3::int8, $4::text, $5::bytea",
                    .text(nil), .bytea(nil), .int8(nil), .text(""), .bytea([]))
                guard let row = rows.first else { return }
                #expect(try row[optional: 0] == nil as String?)
                #expect(try row[optional: 1] == nil as [UInt8]?)
                #expect(try row[optional: 2] == nil as Int64?)
                #expect(try row[3] == "")
                #expect(try row[4] == [] as [UInt8])
            }
        }
    }

    @Test("arrays arrive in order, with NULLs, and empty")
    func arrays() async throws {
        try await withDatabase { database in
            try await database.run { session throws(DatabaseError) in
                let rows = try session.query(
                    "SELECT a, b FROM unnest($1::bigint[], $2::text[]) AS x (a, b)",
                    .int8Array([3, -1]), .textArray(["x", nil]))
                #expect(rows.count == 2)
                #expect(try rows[0][0] == 3 as Int64)
                #expect(try rows[0][1] == "x")
                #expect(try rows[1][0] == -1 as Int64)
                #expect(try rows[1][optional: 1] == nil as String?)
                #expect(try session.query("SELECT unnest($1::bigint[])", .int8Array([])).isEmpty)
            }
        }
    }

    @Test("a column that is not what the program expects is an error, never a trap")
    func invalidData() async throws {
        try await withDatabase { database in
            let kinds = [
                await failure { try await number("SELECT 'x'::text", from: database) },
                await failure { try await number("SELECT NULL::bigint", from: database) },
                await failure { try await number("SELECT 1::bigint", column: 7, from: database) },
                await failure { try await number("SELECT 1::bigint", column: -1, from: database) },
                await failure {
                    try await database.run { session throws(DatabaseError) in
                        try session.query("SELECT $1::text", .text("a\u{0}b")).count
                    }
                },
            ]
            #expect(kinds == Array(repeating: .invalidData, count: 5))
        }
    }

    @Test("a statement is prepared once per connection")
    func preparation() async throws {
        try await withDatabase { database in
            let count: Int64 = try await database.run { session throws(DatabaseError) in
                for number in Int64(0)..<5 { try session.query("SELECT 1 + $1", .int8(number)) }
                let rows = try session.query(
                    "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT 1 +%'")
                guard let row = rows.first else { return -1 }
                return try row[0]
            }
            #expect(count == 1)
        }
    }

    @Test("sessions have the timeouts, and durability that a server-wide setting took away")
    func settings() async throws {
        try await withDatabase { database in
            let values: [String] = try await database.run { session throws(DatabaseError) in
                let rows = try session.query(
                    """
                    SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
                        current_setting('default_transaction_isolation'), current_setting('synchronous_commit'),
                        current_setting('client_encoding')
                    """)
                guard let row = rows.first else { return [] }
                return [try row[0], try row[1], try row[2], try row[3], try row[4]]
            }
            #expect(values == ["4s", "8s", "read committed", "on", "UTF8"])
        }
    }

    @Test("statements are counted")
    func counter() async throws {
        try await withDatabase { database in
            let before = database.statementCount
            try await database.run { session throws(DatabaseError) in _ = try session.query("SELECT 1") }
            #expect(database.statementCount == before + 1)
            try await database.transaction { session throws(DatabaseError) in _ = try session.query("SELECT 1") }
            #expect(database.statementCount == before + 4)
        }
    }
}
