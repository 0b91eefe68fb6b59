// SPDX-License-Identifier: Apache-2.0

import Logging

/// One numbered step of the schema. Steps go forward only; one that was released is never edited.
package struct Migration: Sendable {
    package let version: Int64
    package let name: String
    /// SQL, several statements; runs in one transaction.
    package let script: String

    package init(version: Int64, name: String, script: String) {
        self.version = version
        self.name = name
        self.script = script
    }

    /// Embedded from `Migrations/`, in order and without gaps.
    package static let all = [
        embedded(1, "initial", PackageResources._001_initial_sql),
        embedded(2, "referrer annotations", PackageResources._002_referrer_annotations_sql),
        embedded(3, "accounts", PackageResources._003_accounts_sql),
        embedded(4, "made tokens", PackageResources._004_made_tokens_sql),
    ]

    private static func embedded(_ version: Int64, _ name: String, _ script: [UInt8]) -> Migration {
        Migration(version: version, name: name, script: String(decoding: script, as: UTF8.self))
    }
}

extension Database {
    /// Any fixed number that no other use of advisory locks here has.
    private static let migrationLock: Int64 = 0x6465_706F_7401

    /// Runs the steps that the database lacks, each in its own transaction. Several origins that start at once do it
    /// one after the other.
    ///
    /// - Throws: `.schemaTooNew` if the database has a step that `migrations` lacks; `.invalidData` if one was altered.
    package func migrate(_ migrations: [Migration]) async throws(DatabaseError) {
        let logger = logger
        try await run { session throws(DatabaseError) in
            try session.connection.withoutTimeouts { () throws(DatabaseError) in
                // Held by the session: if this process dies, the server gives it back.
                try session.query("SELECT pg_advisory_lock($1)", .int8(Self.migrationLock))
                let appliedVersion = try Self.verify(migrations, session)
                for migration in migrations where migration.version > appliedVersion {
                    try Self.apply(migration, session)
                    logger.info(
                        "schema migrated",
                        metadata: ["schema.version": "\(migration.version)", "schema.step": "\(migration.name)"])
                }
                try session.query("SELECT pg_advisory_unlock($1)", .int8(Self.migrationLock))
            }
        }
    }

    /// - Returns: The newest version in the database; 0 for none.
    private static func verify(_ migrations: [Migration], _ session: Session) throws(DatabaseError) -> Int64 {
        try session.execute(
            script: """
                CREATE TABLE IF NOT EXISTS schema_migrations (
                    version bigint PRIMARY KEY,
                    name text COLLATE "C" NOT NULL,
                    checksum bytea NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now()
                )
                """)
        let newestKnown = migrations.last?.version ?? 0
        var newestApplied: Int64 = 0
        for row in try session.query("SELECT version, name, checksum FROM schema_migrations ORDER BY version") {
            newestApplied = try row[0]
            let name: String = try row[1]
            let checksum: [UInt8] = try row[2]
            guard newestApplied <= newestKnown else { continue }
            guard let known = migrations.first(where: { $0.version == newestApplied }),
                try self.checksum(of: known, session) == checksum
            else {
                throw DatabaseError(
                    .invalidData, message: "schema step \(newestApplied) (\(name)) is not the one this program has")
            }
        }
        guard newestApplied <= newestKnown else {
            throw DatabaseError(
                .schemaTooNew,
                message:
                    "the schema has version \(newestApplied), this program knows \(newestKnown): run a newer program")
        }
        return newestApplied
    }

    private static func apply(_ migration: Migration, _ session: Session) throws(DatabaseError) {
        let checksum = try checksum(of: migration, session)
        try session.query("BEGIN")
        try session.execute(script: migration.script)
        try session.query(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
            .int8(migration.version), .text(migration.name), .bytea(checksum))
        try session.query("COMMIT")
    }

    private static func checksum(of migration: Migration, _ session: Session) throws(DatabaseError) -> [UInt8] {
        let rows = try session.query("SELECT sha256(convert_to($1, 'UTF8'))", .text(migration.script))
        guard let row = rows.first else { throw DatabaseError(.invalidData, message: "no checksum") }
        return try row[0]
    }
}
