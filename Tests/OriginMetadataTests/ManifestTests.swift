// SPDX-License-Identifier: Apache-2.0

import Dispatch
import OCI
import OriginMetadata
import TestSupport
import Testing

@Suite("manifests and tags", .enabled(if: PostgresLease.isAvailable))
struct ManifestTests {
    private let fixture: RepositoryFixture
    private var database: Database { fixture.database }
    private let config = Fixture.digest(1)
    private let layer = Fixture.digest(2)
    private let manifest = Fixture.digest(0x10)
    private let body = Fixture.image(config: Fixture.digest(1), layers: [Fixture.digest(2)])

    init() async throws { fixture = try await RepositoryFixture() }

    @Test("a manifest is found by digest and by tag, byte for byte, in its repository only")
    func roundTrip() async throws {
        try await fixture.commit(config)
        try await fixture.commit(layer)
        #expect(try await fixture.put(manifest, body: body, tags: ["v1", "latest", "v1"]) == .stored)
        let tag = try #require(Tag("latest"))
        let found = try #require(try await database.manifest(repositoryID: fixture.repositoryID, tag: tag))
        #expect(found.digest == manifest && found.body == body && found.mediaType == MediaType.ociManifest)
        #expect(found.artifactType == "application/vnd.oci.image.config.v1+json")
        #expect(try await database.manifest(repositoryID: fixture.repositoryID, digest: manifest) == found)
        #expect(try await database.manifest(repositoryID: fixture.otherID, digest: manifest) == nil)
        #expect(try await database.manifest(repositoryID: fixture.otherID, tag: tag) == nil)
        #expect(try await fixture.put(manifest, body: body, tags: ["v1"]) == .stored)
    }

    @Test("everything that is missing is named, in order, and nothing is stored")
    func missing() async throws {
        let body = Fixture.image(config: config, layers: [Fixture.digest(9), layer, Fixture.digest(3)])
        try await fixture.commit(layer)
        let missing = [config, Fixture.digest(3), Fixture.digest(9)]
        #expect(try await fixture.put(manifest, body: body, tags: ["v1"]) == .missing(missing))
        #expect(try await database.manifest(repositoryID: fixture.repositoryID, digest: manifest) == nil)
        #expect(try await database.tags(repositoryID: fixture.repositoryID, after: nil, limit: 10).elements.isEmpty)
    }

    @Test(
        "the policy decides what may be missing",
        arguments: [
            (.none, false, false), (.children, false, true), (.all, true, true),
        ] as [(MissingReferences, Bool, Bool)])
    func policy(policy: MissingReferences, acceptsImage: Bool, acceptsIndex: Bool) async throws {
        let image = try await fixture.put(manifest, body: body, missingReferences: policy)
        #expect((image == .stored) == acceptsImage)
        let index = try await fixture.put(
            Fixture.digest(0x20), body: Fixture.index(children: [Fixture.digest(0x30)]), missingReferences: policy)
        #expect((index == .storedWithout([Fixture.digest(0x30)])) == acceptsIndex)
    }

    @Test("another repository's blobs do not count")
    func foreignBlobs() async throws {
        try await fixture.commit(config)
        try await fixture.commit(layer)
        let document = try ManifestDocument(body: body, contentType: nil)
        let put = try await database.putManifest(
            repositoryID: fixture.otherID, digest: manifest, document: document, body: body, tags: [],
            missingReferences: .children)
        #expect(put == .missing([config, layer]))
    }

    @Test("a blob that a manifest uses cannot be unlinked, also when it came after the manifest")
    func protection() async throws {
        #expect(try await fixture.put(manifest, body: body, missingReferences: .all) == .stored)
        try await fixture.commit(config)
        try await fixture.commit(layer)
        #expect(try await fixture.put(manifest, body: body) == .stored)
        let kind = await failure {
            try await database.run { session throws(DatabaseError) in
                _ = try session.query("DELETE FROM repository_blobs")
            }
        }
        guard case .foreignKeyViolation? = kind else {
            Issue.record("unlinked: \(String(describing: kind))")
            return
        }
        // With the repository everything goes.
        let repositoryID = fixture.repositoryID
        try await database.run { session throws(DatabaseError) in
            _ = try session.query("DELETE FROM repositories WHERE id = $1", .int8(repositoryID))
        }
        let linkCount = try await fixture.count(
            "SELECT count(*) FROM repository_blobs WHERE repository_id = $1", .int8(repositoryID))
        #expect(linkCount == 0)
    }

    @Test("a push waits for a collector that holds a blob, and then sees what it did")
    func collectorRace() async throws {
        try await fixture.commit(config)
        try await fixture.commit(layer)
        let (locked, lockedContinuation) = AsyncStream.makeStream(of: Void.self)
        let fixture = fixture
        let layer = layer
        async let collector: Void = database.transaction { session throws(DatabaseError) in
            try session.query("SELECT FROM blobs WHERE digest = $1 FOR UPDATE", .digest(layer))
            lockedContinuation.finish()
            // Until the push waits for this transaction.
            while try session.query("SELECT FROM pg_locks WHERE NOT granted").isEmpty {}
            try session.query("UPDATE blobs SET state = 'tombstoned' WHERE digest = $1", .digest(layer))
        }
        for await _ in locked {}
        #expect(try await fixture.put(manifest, body: body) == .missing([layer]))
        try await collector
    }

    @Test("manifests that share blobs in opposite orders are pushed at the same time without a failure")
    func lockOrder() async throws {
        let layers = (1...20).map(Fixture.digest)
        for layer in layers { try await fixture.commit(layer) }
        let fixture = fixture
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<16 {
                group.addTask {
                    let body = Fixture.image(
                        config: layers[index], layers: index.isMultiple(of: 2) ? layers : layers.reversed())
                    let tags = ["a", "b", "\(index)"]
                    let put = try await fixture.put(Fixture.digest(0x100 + index), body: body, tags: tags)
                    #expect(put == .stored)
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("referrers are found before and without their subject")
    func referrers() async throws {
        try await fixture.commit(config)
        let subject = Fixture.digest(0x77)
        let body = Fixture.image(config: config, layers: [], subject: subject)
        #expect(try await fixture.put(manifest, body: body) == .stored)
        func referrers(_ repositoryID: Int64, limit: Int = 10) async throws -> Page<ReferrerRecord> {
            try await database.referrers(
                repositoryID: repositoryID, subject: subject, limit: limit, annotationBytesMax: 1000)
        }
        let found = try await referrers(fixture.repositoryID)
        #expect(found.elements.map(\.digest) == [manifest])
        #expect(found.elements.first?.sizeBytes == Int64(body.count))
        #expect(!found.isCut)
        #expect(try await referrers(fixture.otherID).elements.isEmpty)
        #expect(try await referrers(fixture.repositoryID, limit: 0).elements.isEmpty)
    }

    @Test("tags come in the order of their bytes, pages do not overlap, and prefixes do not confuse them")
    func paging() async throws {
        let names = ["0.1.2", "0.1.20", "A", "Z", "_x", "a", "a-1", "a.1", "a1"]
        #expect(try await fixture.put(manifest, body: body, tags: names.reversed(), missingReferences: .all) == .stored)
        var listed: [String] = []
        while true {
            let page = try await database.tags(repositoryID: fixture.repositoryID, after: listed.last, limit: 2)
            listed += page.elements.map(\.text)
            if !page.isCut { break }
        }
        #expect(listed == names)
        let next = try await database.tags(repositoryID: fixture.repositoryID, after: "0.1.2", limit: 1)
        #expect(next.elements.map(\.text) == ["0.1.20"])
        #expect(next.isCut)
        #expect(try await database.tags(repositoryID: fixture.repositoryID, after: nil, limit: 0).elements.isEmpty)
    }

    @Test("a tag moves; many are resolved by one statement")
    func tagMoves() async throws {
        let other = Fixture.digest(0x11)
        #expect(try await fixture.put(manifest, body: body, tags: ["a", "b"], missingReferences: .all) == .stored)
        #expect(try await fixture.put(other, body: body, tags: ["b"], missingReferences: .all) == .stored)
        let keys = ["a", "b", "c"].compactMap { Tag($0) }.map { TagKey(repositoryID: fixture.repositoryID, tag: $0) }
        let before = database.statementCount
        #expect(try await database.taggedDigests(keys) == [keys[0]: manifest, keys[1]: other])
        #expect(database.statementCount == before + 1)
        #expect(try await database.taggedDigests([]).isEmpty)
    }

    @Test("deleting a tag leaves the manifest; deleting the manifest takes its tags")
    func deletion() async throws {
        let a = try #require(Tag("a"))
        #expect(try await fixture.put(manifest, body: body, tags: ["a", "b"], missingReferences: .all) == .stored)
        #expect(try await database.deleteTag(repositoryID: fixture.repositoryID, a))
        #expect(try await !database.deleteTag(repositoryID: fixture.repositoryID, a))
        #expect(try await database.manifest(repositoryID: fixture.repositoryID, digest: manifest) != nil)
        for expected in [ManifestDeletion.deleted, .unknown] {
            let outcome = try await database.deleteManifest(
                repositoryID: fixture.repositoryID, digest: manifest, keepsChildren: true)
            #expect(outcome == expected)
        }
        #expect(try await database.tags(repositoryID: fixture.repositoryID, after: nil, limit: 10).elements.isEmpty)
    }
}
