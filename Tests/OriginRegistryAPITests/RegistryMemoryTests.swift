// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginBlobStore
import OriginMetadata
import OriginRegistryAPI
import Testing

@Suite struct RegistryMemoryTests {
    private let start = ContinuousClock.now
    private let blob = KnownBlob(sizeBytes: 1, key: .random(), hasPieces: true)

    private func key() throws -> RegistryMemory.RepositoryDigest {
        let digest = try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: 1, count: 32)))
        return RegistryMemory.RepositoryDigest(repositoryID: 1, digest: digest)
    }

    @Test("an entry is believed for two seconds, and for a minute while the database is away")
    func age() throws {
        var memory = RegistryMemory()
        let key = try key()
        memory.remember(blob: blob, key, at: start, epoch: memory.epoch)
        #expect(memory.blob(key, now: start + .seconds(2), .fresh) == blob)
        #expect(memory.blob(key, now: start + .seconds(3), .fresh) == nil)
        #expect(memory.blob(key, now: start + .seconds(60), .databaseIsAway) == blob)
        #expect(memory.blob(key, now: start + .seconds(61), .databaseIsAway) == nil)
    }

    @Test("a poll of the change sequence that names nothing keeps everything fresh")
    func synced() throws {
        var memory = RegistryMemory()
        let key = try key()
        memory.remember(blob: blob, key, at: start, epoch: memory.epoch)
        memory.synced(at: start + .seconds(100))
        #expect(memory.blob(key, now: start + .seconds(101), .fresh) == blob)
        #expect(memory.blob(key, now: start + .seconds(103), .fresh) == nil)
    }

    @Test("what was read before a change is not remembered after it")
    func epochs() throws {
        var memory = RegistryMemory()
        let key = try key()
        let epoch = memory.epoch
        memory.forgetAll()
        memory.remember(blob: blob, key, at: start, epoch: epoch)
        #expect(memory.blob(key, now: start, .fresh) == nil)
        memory.remember(blob: blob, key, at: start, epoch: memory.epoch)
        memory.forget(blob: key)
        #expect(memory.blob(key, now: start, .fresh) == nil)
    }

    // MARK: Manifests and tags

    private func manifest(
        _ byte: UInt8, bodyBytes: Int = 100
    ) throws -> (RegistryMemory.RepositoryDigest, ManifestRecord) {
        let digest = try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: byte, count: 32)))
        let record = ManifestRecord(
            digest: digest, mediaType: "m", body: [UInt8](repeating: byte, count: bodyBytes), artifactType: nil,
            subject: nil)
        return (RegistryMemory.RepositoryDigest(repositoryID: 1, digest: digest), record)
    }

    private func tag(_ text: String) throws -> TagKey { TagKey(repositoryID: 1, tag: try #require(Tag(text))) }

    @Test("polls of the change sequence keep manifests fresh, but not what tags point at")
    func tagAge() throws {
        var memory = RegistryMemory()
        let (key, record) = try manifest(1)
        let tag = try tag("v1")
        memory.remember(manifest: record, key, at: start, epoch: memory.epoch)
        memory.remember(digest: record.digest, tag, at: start, epoch: memory.epoch)
        memory.synced(at: start + .seconds(10))
        #expect(memory.manifest(key, now: start + .seconds(11), .fresh) == record)
        #expect(memory.digest(tag, now: start + .seconds(2), .fresh) == record.digest)
        #expect(memory.digest(tag, now: start + .seconds(3), .fresh) == nil)
        #expect(memory.digest(tag, now: start + .seconds(60), .databaseIsAway) == record.digest)
        #expect(memory.digest(tag, now: start + .seconds(61), .databaseIsAway) == nil)
    }

    @Test("a push forgets its manifest and its tags and no others, also what is being read just now")
    func push() throws {
        var memory = RegistryMemory()
        let (key, record) = try manifest(1)
        let (otherKey, other) = try manifest(2)
        let (moved, kept) = (try tag("moved"), try tag("kept"))
        for (key, record) in [(key, record), (otherKey, other)] {
            memory.remember(manifest: record, key, at: start, epoch: memory.epoch)
        }
        for tag in [moved, kept] { memory.remember(digest: record.digest, tag, at: start, epoch: memory.epoch) }
        let epoch = memory.epoch
        memory.forget(pushed: otherKey, tags: [moved])
        memory.remember(digest: record.digest, moved, at: start, epoch: epoch)
        #expect(memory.digest(moved, now: start, .fresh) == nil)
        #expect(memory.digest(kept, now: start, .fresh) == record.digest)
        #expect(memory.manifest(otherKey, now: start, .fresh) == nil)
        #expect(memory.manifest(key, now: start, .fresh) == record)
    }

    @Test("a deleted manifest takes the tags along")
    func deletion() throws {
        var memory = RegistryMemory()
        let (key, record) = try manifest(1)
        let (otherKey, other) = try manifest(2)
        let tag = try tag("v1")
        memory.remember(manifest: record, key, at: start, epoch: memory.epoch)
        memory.remember(manifest: other, otherKey, at: start, epoch: memory.epoch)
        memory.remember(digest: record.digest, tag, at: start, epoch: memory.epoch)
        memory.forget(deleted: key)
        #expect(memory.manifest(key, now: start, .fresh) == nil)
        #expect(memory.digest(tag, now: start, .fresh) == nil)
        #expect(memory.manifest(otherKey, now: start, .fresh) == other)
    }

    @Test("manifests are bounded in bytes")
    func manifestBytes() throws {
        var memory = RegistryMemory()
        let keys = try (0..<40).map { index in
            let (key, record) = try manifest(UInt8(index), bodyBytes: 2 << 20)
            memory.remember(manifest: record, key, at: start, epoch: memory.epoch)
            return key
        }
        let keptCount = keys.count { memory.manifest($0, now: start, .fresh) != nil }
        #expect(keptCount >= 5 && keptCount <= 12)
    }
}
