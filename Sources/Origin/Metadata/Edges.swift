// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

package struct EdgeRecord: Sendable, Hashable, Identifiable {
    /// 16 of `[a-z0-9]`, random, never used again.
    package let id: String
    package let name: String
    package let region: String
    /// Degrees; both or neither.
    package let latitude: Double?
    package let longitude: Double?
    package let url: String
    package let wrappedJoinSecret: [UInt8]
    package let createdAt: Date
    package let isEnabled: Bool

    package init(
        id: String,
        name: String,
        region: String,
        latitude: Double?,
        longitude: Double?,
        url: String,
        wrappedJoinSecret: [UInt8],
        createdAt: Date,
        isEnabled: Bool
    ) {
        self.id = id
        self.name = name
        self.region = region
        self.latitude = latitude
        self.longitude = longitude
        self.url = url
        self.wrappedJoinSecret = wrappedJoinSecret
        self.createdAt = createdAt
        self.isEnabled = isEnabled
    }

    /// Columns: id, name, region, latitude, longitude, url, wrapped_join_secret, created_at, is_enabled.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        id = try row[0]
        name = try row[1]
        region = try row[2]
        latitude = try row[optional: 3]
        longitude = try row[optional: 4]
        url = try row[5]
        wrappedJoinSecret = try row[6]
        createdAt = try row[7]
        isEnabled = try row[8]
    }
}

extension Database {
    /// Repeating it with the same id changes nothing.
    /// - Throws: `.uniqueViolation` if another edge has the name.
    package func createEdge(
        id: String,
        name: String,
        region: String,
        latitude: Double?,
        longitude: Double?,
        url: String,
        wrappedJoinSecret: [UInt8]
    ) async throws(DatabaseError) -> EdgeRecord {
        try await run { session throws(DatabaseError) in
            try session.query(
                """
                INSERT INTO edges (id, name, region, latitude, longitude, url, wrapped_join_secret)
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING
                """,
                .text(id), .text(name), .text(region), .float8(latitude), .float8(longitude), .text(url),
                .bytea(wrappedJoinSecret))
            guard let edge = try session.edge(id: id) else { throw .vanished("edge") }
            return edge
        }
    }

    /// All edges, enabled or not, by name.
    package func edges() async throws(DatabaseError) -> [EdgeRecord] {
        try await run { session throws(DatabaseError) in
            var edges: [EdgeRecord] = []
            let rows = try session.query(
                """
                SELECT id, name, region, latitude, longitude, url, wrapped_join_secret, created_at, is_enabled
                FROM edges ORDER BY name
                """)
            for row in rows { edges.append(try EdgeRecord(row)) }
            return edges
        }
    }

    package func edge(id: String) async throws(DatabaseError) -> EdgeRecord? {
        try await run { session throws(DatabaseError) in try session.edge(id: id) }
    }
}

extension Session {
    fileprivate func edge(id: String) throws(DatabaseError) -> EdgeRecord? {
        let rows = try query(
            """
            SELECT id, name, region, latitude, longitude, url, wrapped_join_secret, created_at, is_enabled
            FROM edges WHERE id = $1
            """,
            .text(id))
        guard let row = rows.first else { return nil }
        return try EdgeRecord(row)
    }
}
