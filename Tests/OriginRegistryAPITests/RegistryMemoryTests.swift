// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginBlobStore
import OriginRegistryAPI
import Testing

@Suite struct RegistryMemoryTests {
    private let start = ContinuousClock.now
    private let blob = KnownBlob(sizeBytes: 1, key: .random(), hasPieces: true)

    private func key() throws -> RegistryMemory.BlobOfRepository {
        let digest = try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: 1, count: 32)))
        return RegistryMemory.BlobOfRepository(repositoryID: 1, digest: digest)
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
        memory.forget(key)
        #expect(memory.blob(key, now: start, .fresh) == nil)
    }
}
