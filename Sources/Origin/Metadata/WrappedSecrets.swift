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

    /// Stores the first secret of a name, as the current one. Of origins that do so at once, the first to write wins.
    /// - Returns: `false` if there is one already; then nothing changed.
    package func insertWrappedSecretIfAbsent(
        name: String,
        keyID: String,
        wrapped: [UInt8]
    ) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try session.query(
                """
                INSERT INTO wrapped_secrets (name, key_id, wrapped, state) VALUES ($1, $2, $3, 'current')
                ON CONFLICT DO NOTHING
                """,
                .text(name), .text(keyID), .bytea(wrapped)
            ).affectedCount == 1
        }
    }
}
