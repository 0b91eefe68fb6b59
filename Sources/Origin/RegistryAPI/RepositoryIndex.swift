// SPDX-License-Identifier: Apache-2.0

package import OCI
import OriginBlobStore
package import OriginMetadata
import Synchronization

/// Looks up repositories and their blobs: in memory if that is fresh, in PostgreSQL otherwise, in memory again for a
/// minute while PostgreSQL is away. A warm look-up makes no call.
package final class RepositoryIndex: Sendable {
    private let database: Database
    private let now: @Sendable () -> ContinuousClock.Instant
    private let memory = Mutex(RegistryMemory())

    package init(
        database: Database,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.database = database
        self.now = now
    }

    /// - Returns: The repository's id; `nil` if there is none of that name.
    func repository(_ name: RepositoryName, in organization: Organization) async throws(DatabaseError) -> Int64? {
        let key = RegistryMemory.RepositoryKey(organizationID: organization.id, name: name)
        return try await remembered { memory, now, trust in
            memory.repository(key, now: now, trust)
        } load: { database throws(DatabaseError) in
            try await database.repository(organizationID: organization.id, name: name)?.id
        } remember: { memory, id, now, epoch in
            memory.remember(repository: id, key, at: now, epoch: epoch)
        }
    }

    /// As `repository`, creating it if this is its first push. Two first pushes at once both get the one that is made.
    func ensuredRepository(_ name: RepositoryName, in organization: Organization) async throws(DatabaseError) -> Int64 {
        let key = RegistryMemory.RepositoryKey(organizationID: organization.id, name: name)
        let (now, known, epoch) = glance { $0.repository(key, now: $1, .fresh) }
        if let known { return known }
        let id = try await database.ensureRepository(organizationID: organization.id, name: name).id
        memory.withLock { $0.remember(repository: id, key, at: now, epoch: epoch) }
        return id
    }

    /// - Returns: The blob if the repository has it; a blob that only others have is not found.
    func blob(_ digest: Digest, in repositoryID: Int64) async throws(DatabaseError) -> KnownBlob? {
        let key = RegistryMemory.BlobOfRepository(repositoryID: repositoryID, digest: digest)
        return try await remembered { memory, now, trust in
            memory.blob(key, now: now, trust)
        } load: { database throws(DatabaseError) in
            guard let record = try await database.blob(digest, inRepository: repositoryID) else { return nil }
            guard let blobKey = BlobKey(record.storageKey) else {
                throw DatabaseError(.invalidData, message: "blob \(digest) has no valid key")
            }
            return KnownBlob(sizeBytes: record.sizeBytes, key: blobKey, hasPieces: record.hasPieces)
        } remember: { memory, blob, now, epoch in
            memory.remember(blob: blob, key, at: now, epoch: epoch)
        }
    }

    /// What has been forgotten so far: taken before a push, and given to `remember` after it.
    var epoch: Int { memory.withLock { $0.epoch } }

    /// Called before the answer to a push, so that this origin's next answer knows the blob; unless something was
    /// forgotten since the push began, which may have been this blob.
    func remember(_ blob: KnownBlob, _ digest: Digest, in repositoryID: Int64, since epoch: Int) {
        let now = now()
        let key = RegistryMemory.BlobOfRepository(repositoryID: repositoryID, digest: digest)
        memory.withLock { $0.remember(blob: blob, key, at: now, epoch: epoch) }
    }

    /// A blob was taken out of the repository, or the file behind it is not what was remembered: another origin may have
    /// healed it.
    package func forget(_ digest: Digest, in repositoryID: Int64) {
        memory.withLock {
            $0.forget(RegistryMemory.BlobOfRepository(repositoryID: repositoryID, digest: digest))
        }
    }

    /// Another origin deleted or healed something, as the change sequence tells.
    package func invalidate() { memory.withLock { $0.forgetAll() } }

    /// The change sequence was read to its end; the read began at `instant`.
    package func synced(at instant: ContinuousClock.Instant) { memory.withLock { $0.synced(at: instant) } }

    private func glance<Value: Sendable>(
        _ look: (inout RegistryMemory, ContinuousClock.Instant) -> Value?
    ) -> (now: ContinuousClock.Instant, value: Value?, epoch: Int) {
        let now = now()
        return memory.withLock { memory in
            let value = look(&memory, now)
            return (now, value, memory.epoch)
        }
    }

    private func remembered<Value: Sendable>(
        look: (inout RegistryMemory, ContinuousClock.Instant, RegistryMemory.Trust) -> Value?,
        load: (Database) async throws(DatabaseError) -> Value?,
        remember: (inout RegistryMemory, Value, ContinuousClock.Instant, Int) -> Void
    ) async throws(DatabaseError) -> Value? {
        let (now, known, epoch) = glance { look(&$0, $1, .fresh) }
        if let known { return known }
        do throws(DatabaseError) {
            guard let value = try await load(database) else { return nil }
            memory.withLock { remember(&$0, value, now, epoch) }
            return value
        } catch {
            guard error.isDatabaseAway, let known = glance({ look(&$0, $1, .databaseIsAway) }).value else {
                throw error
            }
            return known
        }
    }
}

extension DatabaseError {
    /// Nothing is wrong with the question; there is nobody to answer it now.
    var isDatabaseAway: Bool {
        switch kind {
        case .unavailable, .overloaded, .timeout: true
        case .serialization, .uniqueViolation, .foreignKeyViolation, .schemaTooNew, .invalidData, .other: false
        }
    }
}
