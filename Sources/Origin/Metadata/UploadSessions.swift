// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import OCI

/// A process that may hold leases: an origin, between one start and the next.
package struct LeaseHolder: Sendable, Hashable {
    package let originID: String
    /// Differs at every start of the origin.
    package let processID: String

    package init(originID: String, processID: String) {
        self.originID = originID
        self.processID = processID
    }
}

package struct UploadSessionLease: Sendable, Hashable {
    package let holder: LeaseHolder
    /// By the database's clock.
    package let expiresAt: Date

    package init(holder: LeaseHolder, expiresAt: Date) {
        self.holder = holder
        self.expiresAt = expiresAt
    }
}

package struct UploadSessionRecord: Sendable, Identifiable {
    package enum State: String, Sendable, SQLTextDecodable { case open, committed }

    package let id: UUID
    package let repositoryID: Int64
    package let algorithm: DigestAlgorithm
    package let storageKey: String
    /// Bytes that are durable.
    package let offsetBytes: Int64
    /// The running hashes at `offsetBytes`, as the upload code stores them; empty in a new session.
    package let hashState: [UInt8]
    package let pieceState: [UInt8]
    package let state: State
    /// Set once `state` is committed.
    package let committedDigest: Digest?
    package let lease: UploadSessionLease?

    package init(
        id: UUID,
        repositoryID: Int64,
        algorithm: DigestAlgorithm,
        storageKey: String,
        offsetBytes: Int64,
        hashState: [UInt8],
        pieceState: [UInt8],
        state: State,
        committedDigest: Digest?,
        lease: UploadSessionLease?
    ) {
        self.id = id
        self.repositoryID = repositoryID
        self.algorithm = algorithm
        self.storageKey = storageKey
        self.offsetBytes = offsetBytes
        self.hashState = hashState
        self.pieceState = pieceState
        self.state = state
        self.committedDigest = committedDigest
        self.lease = lease
    }

    /// Columns: id, repository_id, algorithm, storage_key, offset_bytes, hash_state, piece_state, state,
    /// committed_digest, lease_origin, lease_process, lease_expires_at.
    fileprivate init(_ row: Row) throws(DatabaseError) {
        id = try row[0]
        repositoryID = try row[1]
        algorithm = try row[2]
        storageKey = try row[3]
        offsetBytes = try row[4]
        hashState = try row[5]
        pieceState = try row[6]
        state = try row[7]
        committedDigest = try row[optional: 8]
        let originID: String? = try row[optional: 9]
        lease =
            if let originID {
                UploadSessionLease(
                    holder: LeaseHolder(originID: originID, processID: try row[10]), expiresAt: try row[11])
            } else {
                nil
            }
    }
}

/// Rows are written by who holds the lease; each write checks that in its own WHERE. Time is the database's.
extension Database {
    /// Opens a session. Repeating it with the same id changes nothing.
    package func createUploadSession(
        id: UUID,
        repositoryID: Int64,
        algorithm: DigestAlgorithm,
        storageKey: String
    ) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                INSERT INTO upload_sessions (id, repository_id, algorithm, storage_key) VALUES ($1, $2, $3, $4)
                ON CONFLICT (id) DO NOTHING
                """,
                .uuid(id), .int8(repositoryID), .text(algorithm.rawValue), .text(storageKey))
        }
    }

    package func uploadSession(
        id: UUID,
        repositoryID: Int64
    ) async throws(DatabaseError) -> UploadSessionRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                SELECT id, repository_id, algorithm, storage_key, offset_bytes, hash_state, piece_state, state,
                    committed_digest, lease_origin, lease_process, lease_expires_at
                FROM upload_sessions WHERE id = $1 AND repository_id = $2
                """,
                .uuid(id), .int8(repositoryID))
            guard let row = rows.first else { return nil }
            return try UploadSessionRecord(row)
        }
    }

    /// Takes the right to write to an open session, if it is free, expired, or of a process of this origin: an earlier
    /// one holds nothing any more, and requests of this one take turns before they ask.
    /// - Returns: The session as it stands under the lease; `nil` if another process holds it, or it is not open.
    package func acquireUploadLease(
        id: UUID,
        repositoryID: Int64,
        holder: LeaseHolder,
        duration: Duration
    ) async throws(DatabaseError) -> UploadSessionRecord? {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                UPDATE upload_sessions
                SET lease_origin = $3, lease_process = $4, lease_expires_at = now() + make_interval(secs => $5),
                    updated_at = now()
                WHERE id = $1 AND repository_id = $2 AND state = 'open'
                    AND (lease_origin IS NULL OR lease_expires_at <= now() OR lease_origin = $3)
                RETURNING id, repository_id, algorithm, storage_key, offset_bytes, hash_state, piece_state, state,
                    committed_digest, lease_origin, lease_process, lease_expires_at
                """,
                .uuid(id), .int8(repositoryID), .text(holder.originID), .text(holder.processID), .seconds(duration))
            guard let row = rows.first else { return nil }
            return try UploadSessionRecord(row)
        }
    }

    /// Extends leases, all by one statement.
    /// - Returns: Those that are still the holder's.
    package func renewUploadLeases(
        ids: [UUID],
        holder: LeaseHolder,
        duration: Duration
    ) async throws(DatabaseError) -> Set<UUID> {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                UPDATE upload_sessions SET lease_expires_at = now() + make_interval(secs => $4)
                WHERE id = ANY ($1::text[]::uuid[]) AND lease_origin = $2 AND lease_process = $3
                RETURNING id
                """,
                .textArray(ids.map(\.uuidString)), .text(holder.originID), .text(holder.processID), .seconds(duration))
            var renewed: Set<UUID> = []
            for row in rows { renewed.insert(try row[0]) }
            return renewed
        }
    }

    /// Extends a lease. One that expired but that nobody took is still the holder's.
    /// - Returns: `false` if the session is not the holder's any more.
    package func renewUploadLease(
        id: UUID,
        holder: LeaseHolder,
        duration: Duration
    ) async throws(DatabaseError) -> Bool {
        try await renewUploadLeases(ids: [id], holder: holder, duration: duration).contains(id)
    }

    /// Stores a durable point.
    /// - Parameter leaseDuration: Extends the lease; `nil` gives it back.
    /// - Returns: `false` if the session is not the holder's any more; then nothing was stored.
    package func saveUploadProgress(
        id: UUID,
        holder: LeaseHolder,
        offsetBytes: Int64,
        hashState: [UInt8],
        pieceState: [UInt8],
        leaseDuration: Duration?
    ) async throws(DatabaseError) -> Bool {
        try await run { session throws(DatabaseError) in
            try session.query(
                """
                UPDATE upload_sessions
                SET offset_bytes = $4, hash_state = $5, piece_state = $6, updated_at = now(),
                    lease_origin = CASE WHEN $7::float8 IS NULL THEN NULL ELSE lease_origin END,
                    lease_process = CASE WHEN $7::float8 IS NULL THEN NULL ELSE lease_process END,
                    lease_expires_at = now() + make_interval(secs => $7)
                WHERE id = $1 AND lease_origin = $2 AND lease_process = $3 AND state = 'open'
                """,
                .uuid(id), .text(holder.originID), .text(holder.processID), .int8(offsetBytes), .bytea(hashState),
                .bytea(pieceState), .seconds(leaseDuration)
            ).affectedCount == 1
        }
    }

    /// Gives a lease back; nothing happens if it is not the holder's.
    package func releaseUploadLease(id: UUID, holder: LeaseHolder) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                UPDATE upload_sessions SET lease_origin = NULL, lease_process = NULL, lease_expires_at = NULL
                WHERE id = $1 AND lease_origin = $2 AND lease_process = $3
                """,
                .uuid(id), .text(holder.originID), .text(holder.processID))
        }
    }

    /// Removes an open session; its file is the caller's to remove. A committed one stays, to answer repeated requests.
    package func deleteUploadSession(id: UUID) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query("DELETE FROM upload_sessions WHERE id = $1 AND state = 'open'", .uuid(id))
        }
    }

    /// Removes open sessions that nobody has written to for `idleTime`, at most `limit` of them.
    /// - Returns: The keys of their files, which are the caller's to remove.
    package func removeIdleUploadSessions(idleTime: Duration, limit: Int = 100) async throws(DatabaseError) -> [String]
    {
        try await run { session throws(DatabaseError) in
            let rows = try session.query(
                """
                DELETE FROM upload_sessions WHERE id IN (
                    SELECT id FROM upload_sessions
                    WHERE state = 'open' AND updated_at <= now() - make_interval(secs => $1)
                        AND (lease_origin IS NULL OR lease_expires_at <= now())
                    LIMIT $2 FOR UPDATE SKIP LOCKED)
                RETURNING storage_key
                """,
                .seconds(idleTime), .int8(Int64(limit)))
            var keys: [String] = []
            for row in rows { keys.append(try row[0]) }
            return keys
        }
    }

    /// Removes sessions that were committed longer than `age` ago: a PUT that repeats one is refused from then on.
    package func removeCommittedUploadSessions(age: Duration) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                DELETE FROM upload_sessions
                WHERE state = 'committed' AND updated_at <= now() - make_interval(secs => $1)
                """,
                .seconds(age))
        }
    }

    /// Frees the leases of an origin's earlier processes, which hold them no more. For an origin at its start.
    package func reclaimLeases(originID: String, exceptProcess processID: String) async throws(DatabaseError) {
        try await run { session throws(DatabaseError) in
            _ = try session.query(
                """
                UPDATE upload_sessions SET lease_origin = NULL, lease_process = NULL, lease_expires_at = NULL
                WHERE lease_origin = $1 AND lease_process <> $2
                """,
                .text(originID), .text(processID))
        }
    }
}
