// SPDX-License-Identifier: Apache-2.0

package import OCI
import OriginBlobStore
package import OriginMetadata
import Synchronization

/// Looks up repositories, their blobs, manifests and tags: in memory if that is fresh, in PostgreSQL otherwise, in memory
/// again for a minute while PostgreSQL is away. A warm look-up makes no call; only what a tag points at is asked each
/// time if other origins run, which may move it.
package final class RepositoryIndex: Sendable {
    private let database: Database
    private let tags: TagLookup
    private let isOnlyOrigin: @Sendable () -> Bool
    private let becomeKnown: @Sendable () async throws -> Void
    private let now: @Sendable () -> ContinuousClock.Instant
    private let memory = Mutex(RegistryMemory())

    /// - Parameters:
    ///   - isOnlyOrigin: Whether nobody else can have moved a tag.
    ///   - becomeKnown: Returns once no other origin can believe to be the only one.
    package init(
        database: Database,
        isOnlyOrigin: @escaping @Sendable () -> Bool,
        becomeKnown: @escaping @Sendable () async throws -> Void,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.database = database
        tags = TagLookup(database: database)
        self.isOnlyOrigin = isOnlyOrigin
        self.becomeKnown = becomeKnown
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
        let key = RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: digest)
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

    func manifest(_ digest: Digest, in repositoryID: Int64) async throws(DatabaseError) -> ManifestRecord? {
        let key = RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: digest)
        return try await remembered { memory, now, trust in
            memory.manifest(key, now: now, trust)
        } load: { database throws(DatabaseError) in
            try await database.manifest(repositoryID: repositoryID, digest: digest)
        } remember: { memory, manifest, now, epoch in
            memory.remember(manifest: manifest, key, at: now, epoch: epoch)
        }
    }

    func manifest(_ tag: Tag, in repositoryID: Int64) async throws(DatabaseError) -> ManifestRecord? {
        guard let digest = try await digest(of: TagKey(repositoryID: repositoryID, tag: tag)) else { return nil }
        if let manifest = try await manifest(digest, in: repositoryID) { return manifest }
        // The tag moved and the old manifest was deleted between the two looks. One statement sees both at one instant.
        return try await database.manifest(repositoryID: repositoryID, tag: tag)
    }

    private func digest(of key: TagKey) async throws(DatabaseError) -> Digest? {
        let isOnlyOrigin = isOnlyOrigin()
        return try await remembered { memory, now, trust in
            isOnlyOrigin || trust == .databaseIsAway ? memory.digest(key, now: now, trust) : nil
        } load: { [tags] _ throws(DatabaseError) in
            try await tags.digest(of: key)
        } remember: { memory, digest, now, epoch in
            memory.remember(digest: digest, key, at: now, epoch: epoch)
        } isAway: { error in
            // A database that is slow or busy may have taken another origin's move of the tag.
            error.kind == .unavailable
        }
    }

    /// Called before a tag is moved or taken.
    func prepareToMoveTags() async throws { try await becomeKnown() }

    /// A manifest was pushed with these tags, or may have been: called before the answer, also to a failure.
    func pushed(_ manifest: Digest, _ tags: [Tag], in repositoryID: Int64) {
        let manifest = RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: manifest)
        let keys = tags.map { TagKey(repositoryID: repositoryID, tag: $0) }
        memory.withLock { $0.forget(pushed: manifest, tags: keys) }
    }

    /// A tag was deleted, or may have been.
    func deleted(_ tag: Tag, in repositoryID: Int64) {
        memory.withLock { $0.forget(tag: TagKey(repositoryID: repositoryID, tag: tag)) }
    }

    /// A manifest was deleted, with its tags, or may have been.
    package func deleted(_ manifest: Digest, in repositoryID: Int64) {
        let manifest = RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: manifest)
        memory.withLock { $0.forget(deleted: manifest) }
    }

    /// What has been forgotten so far: taken before a push, and given to `remember` after it.
    var epoch: Int { memory.withLock { $0.epoch } }

    /// Called before the answer to a push, so that this origin's next answer knows the blob; unless something was
    /// forgotten since the push began, which may have been this blob.
    func remember(_ blob: KnownBlob, _ digest: Digest, in repositoryID: Int64, since epoch: Int) {
        let now = now()
        let key = RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: digest)
        memory.withLock { $0.remember(blob: blob, key, at: now, epoch: epoch) }
    }

    /// A blob was taken out of the repository, or the file behind it is not what was remembered: another origin may have
    /// healed it.
    package func forget(_ digest: Digest, in repositoryID: Int64) {
        memory.withLock {
            $0.forget(blob: RegistryMemory.RepositoryDigest(repositoryID: repositoryID, digest: digest))
        }
    }

    /// Another origin changed something of which the change sequence does not tell enough.
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
        remember: (inout RegistryMemory, Value, ContinuousClock.Instant, Int) -> Void,
        isAway: (DatabaseError) -> Bool = { $0.isDatabaseAway }
    ) async throws(DatabaseError) -> Value? {
        let (now, known, epoch) = glance { look(&$0, $1, .fresh) }
        if let known { return known }
        do throws(DatabaseError) {
            guard let value = try await load(database) else { return nil }
            memory.withLock { remember(&$0, value, now, epoch) }
            return value
        } catch {
            guard isAway(error), let known = glance({ look(&$0, $1, .databaseIsAway) }).value else {
                throw error
            }
            return known
        }
    }
}
