// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

package struct OriginRecord: Sendable, Hashable, Identifiable {
    package let id: String
    package let url: String
    /// By the database's clock.
    package let seenAt: Date

    package init(id: String, url: String, seenAt: Date) {
        self.id = id
        self.url = url
        self.seenAt = seenAt
    }
}

extension Database {
    /// Says that this origin runs and where it is reached; repeated every few seconds.
    package func registerOrigin(id: String, url: String) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                INSERT INTO origins (id, url) VALUES ($1, $2)
                ON CONFLICT (id) DO UPDATE SET url = excluded.url, seen_at = now()
                """,
                .text(id), .text(url))
        }
    }

    /// Origins that said so within the last `interval`, by id.
    package func origins(seenWithin interval: Duration) async throws(DatabaseError) -> [OriginRecord] {
        try await run { session throws(DatabaseError) in
            var origins: [OriginRecord] = []
            let rows = try session.query(
                """
                SELECT id, url, seen_at FROM origins WHERE seen_at >= now() - make_interval(secs => $1) ORDER BY id
                """,
                .seconds(interval))
            for row in rows { origins.append(OriginRecord(id: try row[0], url: try row[1], seenAt: try row[2])) }
            return origins
        }
    }
}
