// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials

/// A secret of the deployment, encrypted under the key file.
package struct WrappedSecret: Sendable, Hashable {
    package enum State: String, Sendable, SQLTextDecodable { case previous, current, next }

    /// What it is for: `jwt`, `link`.
    package let name: String
    package let keyID: String
    package let wrapped: [UInt8]
    package let createdAt: Date
    package let state: State

    package init(name: String, keyID: String, wrapped: [UInt8], createdAt: Date, state: State) {
        self.name = name
        self.keyID = keyID
        self.wrapped = wrapped
        self.createdAt = createdAt
        self.state = state
    }
}

extension Database {
    /// All secrets of a name, oldest first.
    package func wrappedSecrets(_ name: String) async throws(DatabaseError) -> [WrappedSecret] {
        try await run { session throws(DatabaseError) in
            var secrets: [WrappedSecret] = []
            let rows = try session.query(
                """
                SELECT name, key_id, wrapped, created_at, state FROM wrapped_secrets
                WHERE name = $1 ORDER BY created_at, key_id
                """,
                .text(name))
            for row in rows {
                secrets.append(
                    WrappedSecret(
                        name: try row[0],
                        keyID: try row[1],
                        wrapped: try row[2],
                        createdAt: try row[3],
                        state: try row[4]))
            }
            return secrets
        }
    }

    /// Stores a secret of a name unless there is one in that state. Of origins that do so at once, the first to write
    /// wins.
    /// - Returns: `false` if there is one already; then nothing changed.
    package func insertWrappedSecretIfAbsent(
        name: String,
        keyID: String,
        wrapped: [UInt8],
        state: WrappedSecret.State
    ) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try session.query(
                """
                INSERT INTO wrapped_secrets (name, key_id, wrapped, state) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING
                """,
                .text(name), .text(keyID), .bytea(wrapped), .text(state.rawValue)
            ).affectedCount == 1
        }
    }

    /// The next secret becomes the current one, that the previous one, and what was the previous one is forgotten. Other
    /// origins are told.
    ///
    /// - Parameters:
    ///   - olderThan: Only if the last rotation is longer ago.
    ///   - keyID: Of the new next one.
    /// - Returns: Whether it was done.
    package func rotateWrappedSecrets(
        name: String, keyID: String, wrapped: [UInt8], ifOlderThan age: Duration
    ) async throws(DatabaseError) -> Bool {
        try await transaction { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT key_id FROM wrapped_secrets
                WHERE name = $1 AND state = 'next' AND created_at <= now() - make_interval(secs => $2) FOR UPDATE
                """,
                .text(name), .seconds(age))
            guard let row = rows.first else { return false }
            let nextID: String = try row[0]
            try session.query("DELETE FROM wrapped_secrets WHERE name = $1 AND state = 'previous'", .text(name))
            try session.query(
                "UPDATE wrapped_secrets SET state = 'previous' WHERE name = $1 AND state = 'current'", .text(name))
            try session.query(
                "UPDATE wrapped_secrets SET state = 'current' WHERE name = $1 AND key_id = $2", .text(name),
                .text(nextID))
            try session.query(
                "INSERT INTO wrapped_secrets (name, key_id, wrapped, state) VALUES ($1, $2, $3, 'next')",
                .text(name), .text(keyID), .bytea(wrapped))
            try session.appendChange(.changedKeys)
            return true
        }
    }
}
