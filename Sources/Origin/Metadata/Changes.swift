// SPDX-License-Identifier: Apache-2.0

/// Something that other origins may hold in memory and must forget.
package struct Change: Sendable, Hashable, Identifiable {
    package let id: Int64
    package let kind: String
    package let subject: String

    package init(id: Int64, kind: String, subject: String) {
        self.id = id
        self.kind = kind
        self.subject = subject
    }
}

extension Session {
    /// Any fixed number that no other use of advisory locks here has.
    private static let changesLock: Int64 = 0x6465_706F_7403

    /// Tells the other origins, once this transaction commits. The last statements of a transaction: from here to the
    /// commit, appenders wait for each other. Without that, a number could become visible after a higher one, and who
    /// reads in order would miss it.
    package func appendChange(kind: String, subject: String) throws(DatabaseError) {
        precondition(connection.isInTransaction, "a change is part of the transaction that makes it")
        try query("SELECT pg_advisory_xact_lock($1)", .int8(Self.changesLock))
        try query("INSERT INTO changes (kind, subject) VALUES ($1, $2)", .text(kind), .text(subject))
    }
}

extension Database {
    /// Changes after `id` in their order, at most `limit`.
    package func changes(after id: Int64, limit: Int = 1000) async throws(DatabaseError) -> [Change] {
        try await run { session throws(DatabaseError) in
            var changes: [Change] = []
            let rows = try session.query(
                "SELECT id, kind, subject FROM changes WHERE id > $1 ORDER BY id LIMIT $2",
                .int8(id), .int8(Int64(limit)))
            for row in rows { changes.append(Change(id: try row[0], kind: try row[1], subject: try row[2])) }
            return changes
        }
    }

    /// The newest change; 0 if there is none.
    package func latestChange() async throws(DatabaseError) -> Int64 {
        try await run { session throws(DatabaseError) in
            guard let row = try session.query("SELECT coalesce(max(id), 0) FROM changes").first else { return 0 }
            return try row[0]
        }
    }
}
