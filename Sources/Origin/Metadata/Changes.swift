// SPDX-License-Identifier: Apache-2.0

package import OCI

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

extension Change {
    /// What an origin must forget.
    package enum Effect: Sendable, Hashable {
        /// A blob was taken out of a repository.
        case unlinkedBlob(Digest, repositoryID: Int64)
        /// A manifest was deleted, and with it the tags that pointed at it; or its media type is another one now.
        case changedManifest(Digest, repositoryID: Int64)
        /// A digest points at another file. Who remembers the damaged one would go on serving it.
        case healedBlob(Digest)
        /// Tokens, memberships, projects or organizations are not what they were; repositories are.
        case changedRights
        /// Keys of the deployment were rotated.
        case changedKeys
        /// Repositories were deleted: alone, or with a project or an organization.
        case deletedRepositories
    }

    /// - Returns: `nil` for what a newer version may write: then anything may have changed.
    package var effect: Effect? {
        switch kind {
        case "unlinked-blob": repositoryDigest.map { .unlinkedBlob($1, repositoryID: $0) }
        case "changed-manifest": repositoryDigest.map { .changedManifest($1, repositoryID: $0) }
        case "healed-blob": Digest(subject).map { .healedBlob($0) }
        case "changed-rights": .changedRights
        case "changed-keys": .changedKeys
        case "deleted-repositories": .deletedRepositories
        default: nil
        }
    }

    private var repositoryDigest: (Int64, Digest)? {
        guard let slash = subject.utf8.firstIndex(of: UInt8(ascii: "/")),
            let repositoryID = Int64(subject[..<slash]), let digest = Digest(subject[subject.index(after: slash)...])
        else { return nil }
        return (repositoryID, digest)
    }
}

extension Change.Effect {
    fileprivate var row: (kind: String, subject: String) {
        switch self {
        case .unlinkedBlob(let digest, let repositoryID): ("unlinked-blob", "\(repositoryID)/\(digest)")
        case .changedManifest(let digest, let repositoryID): ("changed-manifest", "\(repositoryID)/\(digest)")
        case .healedBlob(let digest): ("healed-blob", digest.description)
        case .changedRights: ("changed-rights", "")
        case .changedKeys: ("changed-keys", "")
        case .deletedRepositories: ("deleted-repositories", "")
        }
    }
}

extension Session {
    /// Any fixed number that no other use of advisory locks here has.
    private static let changesLock: Int64 = 0x6465_706F_7403

    /// Tells the other origins, once this transaction commits. The last statements of a transaction: from here to the
    /// commit, appenders wait for each other. Without that, a number could become visible after a higher one, and who
    /// reads in order would miss it.
    package func appendChange(_ effect: Change.Effect) throws(DatabaseError) {
        try appendChange(kind: effect.row.kind, subject: effect.row.subject)
    }

    /// As the other one, in words.
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

    /// Removes changes that every origin has read or will not read one by one any more. The newest stays: numbers go on
    /// from it.
    package func removeChanges(olderThan age: Duration) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                DELETE FROM changes
                WHERE created_at < now() - make_interval(secs => $1) AND id < (SELECT max(id) FROM changes)
                """,
                .seconds(age))
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
