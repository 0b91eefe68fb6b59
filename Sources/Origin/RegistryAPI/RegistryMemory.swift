// SPDX-License-Identifier: Apache-2.0

package import OCI
import OriginAuth
package import OriginBlobStore
package import OriginMetadata

/// What a blob's redirect or direct answer needs to know of it.
package struct KnownBlob: Equatable, Sendable {
    package let sizeBytes: Int64
    package let key: BlobKey
    package let hasPieces: Bool

    package init(sizeBytes: Int64, key: BlobKey, hasPieces: Bool) {
        self.sizeBytes = sizeBytes
        self.key = key
        self.hasPieces = hasPieces
    }
}

/// Repositories, their blobs, manifests and tags as PostgreSQL last told them. Only what exists is remembered, so that a
/// push is seen at once. A pure value: no clock, lock or I/O.
///
/// An entry is believed while it, or the last poll of the change sequence that would have named it, is at most
/// `freshFor` old; while the database is away, for `staleFor`. No poll names the moves of tags: what a tag points at is
/// believed for `freshFor` from when it was read, also by an origin that runs alone, whose own move may have been
/// committed although it was told otherwise.
package struct RegistryMemory {
    static let freshFor = Duration.seconds(2)
    static let staleFor = Duration.seconds(60)
    static let repositoryCountMax = 8 * 1024
    static let blobCountMax = 64 * 1024
    static let tagCountMax = 64 * 1024
    static let manifestBytesMax = 24 << 20

    package struct RepositoryKey: Hashable {
        package let organizationID: Int64
        package let name: RepositoryName

        package init(organizationID: Int64, name: RepositoryName) {
            self.organizationID = organizationID
            self.name = name
        }
    }

    package struct RepositoryDigest: Hashable {
        package let repositoryID: Int64
        package let digest: Digest

        package init(repositoryID: Int64, digest: Digest) {
            self.repositoryID = repositoryID
            self.digest = digest
        }
    }

    private struct Entry<Value: Sendable>: Sendable {
        let value: Value
        let loadedAt: ContinuousClock.Instant
    }

    /// How far a look-up may trust memory.
    package enum Trust {
        case fresh, databaseIsAway

        fileprivate var age: Duration {
            switch self {
            case .fresh: freshFor
            case .databaseIsAway: staleFor
            }
        }
    }

    package init() {}

    /// Rows that were read before a change arrived are not remembered after it.
    package private(set) var epoch = 0
    private var syncedAt: ContinuousClock.Instant?
    private var repositories = BoundedCache<RepositoryKey, Entry<Int64>>(generationCountMax: repositoryCountMax / 2)
    private var blobs = BoundedCache<RepositoryDigest, Entry<KnownBlob>>(generationCountMax: blobCountMax / 2)

    private var tags = BoundedCache<TagKey, Entry<Digest>>(generationCountMax: tagCountMax / 2)
    private var manifests = BoundedCache<RepositoryDigest, Entry<ManifestRecord>>(
        generationCostMax: manifestBytesMax / 2
    ) { entry in
        // What the entry takes besides its bytes, about.
        entry.value.body.count + 512
    }

    package mutating func repository(_ key: RepositoryKey, now: ContinuousClock.Instant, _ trust: Trust) -> Int64? {
        repositories.value(for: key).flatMap { isBelieved($0.loadedAt, now, trust) ? $0.value : nil }
    }

    package mutating func blob(_ key: RepositoryDigest, now: ContinuousClock.Instant, _ trust: Trust) -> KnownBlob? {
        blobs.value(for: key).flatMap { isBelieved($0.loadedAt, now, trust) ? $0.value : nil }
    }

    package mutating func digest(_ key: TagKey, now: ContinuousClock.Instant, _ trust: Trust) -> Digest? {
        tags.value(for: key).flatMap { now - $0.loadedAt <= trust.age ? $0.value : nil }
    }

    package mutating func manifest(
        _ key: RepositoryDigest, now: ContinuousClock.Instant, _ trust: Trust
    ) -> ManifestRecord? {
        manifests.value(for: key).flatMap { isBelieved($0.loadedAt, now, trust) ? $0.value : nil }
    }

    /// - Parameter epoch: As it was before the row was read.
    package mutating func remember(
        repository id: Int64, _ key: RepositoryKey, at instant: ContinuousClock.Instant, epoch: Int
    ) {
        if epoch == self.epoch { repositories.insert(Entry(value: id, loadedAt: instant), for: key) }
    }

    /// - Parameter epoch: As it was before the row was read.
    package mutating func remember(
        blob: KnownBlob, _ key: RepositoryDigest, at instant: ContinuousClock.Instant, epoch: Int
    ) {
        if epoch == self.epoch { blobs.insert(Entry(value: blob, loadedAt: instant), for: key) }
    }

    /// - Parameter epoch: As it was before the row was read.
    package mutating func remember(
        digest: Digest, _ key: TagKey, at instant: ContinuousClock.Instant, epoch: Int
    ) {
        if epoch == self.epoch { tags.insert(Entry(value: digest, loadedAt: instant), for: key) }
    }

    /// - Parameter epoch: As it was before the row was read.
    package mutating func remember(
        manifest: ManifestRecord, _ key: RepositoryDigest, at instant: ContinuousClock.Instant, epoch: Int
    ) {
        if epoch == self.epoch { manifests.insert(Entry(value: manifest, loadedAt: instant), for: key) }
    }

    package mutating func forget(blob key: RepositoryDigest) {
        epoch += 1
        blobs.remove(key)
    }

    /// A manifest was pushed, perhaps again with another media type, and these tags point at it now.
    package mutating func forget(pushed manifest: RepositoryDigest, tags moved: [TagKey]) {
        epoch += 1
        manifests.remove(manifest)
        for key in moved { tags.remove(key) }
    }

    package mutating func forget(tag key: TagKey) {
        epoch += 1
        tags.remove(key)
    }

    /// Its tags went with it. Which they were is not known here, and deletes are rare.
    package mutating func forget(deleted key: RepositoryDigest) {
        epoch += 1
        manifests.remove(key)
        tags.removeAll()
    }

    /// Something changed that names no subject. That is rare, and rows are cheap to read again.
    package mutating func forgetAll() {
        epoch += 1
        repositories.removeAll()
        blobs.removeAll()
        tags.removeAll()
        manifests.removeAll()
    }

    /// The change sequence was read to its end; the read began at `instant`.
    package mutating func synced(at instant: ContinuousClock.Instant) { syncedAt = instant }

    private func isBelieved(
        _ loadedAt: ContinuousClock.Instant,
        _ now: ContinuousClock.Instant,
        _ trust: Trust
    ) -> Bool {
        now - max(loadedAt, syncedAt ?? loadedAt) <= trust.age
    }
}
