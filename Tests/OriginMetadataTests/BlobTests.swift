// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import OCI
import OriginMetadata
import TestSupport
import Testing

@Suite("blobs and upload sessions", .enabled(if: PostgresLease.isAvailable))
struct BlobTests {
    private let fixture: RepositoryFixture
    private var database: Database { fixture.database }
    private let digest = Fixture.digest(1)

    init() async throws { fixture = try await RepositoryFixture() }

    @Test("a blob is seen only by repositories that link it")
    func links() async throws {
        try await fixture.commit(digest)
        #expect(try await database.blob(digest, inRepository: fixture.repositoryID)?.storageKey == "key-00000001")
        #expect(try await database.blob(digest, inRepository: fixture.otherID) == nil)
        #expect(try await !database.mountBlob(Fixture.digest(2), from: fixture.repositoryID, into: fixture.otherID))
        #expect(try await !database.mountBlob(digest, from: fixture.otherID, into: fixture.repositoryID))
        #expect(try await database.mountBlob(digest, from: fixture.repositoryID, into: fixture.otherID))
        #expect(try await database.mountBlob(digest, from: fixture.repositoryID, into: fixture.otherID))
        #expect(try await database.blob(digest, inRepository: fixture.otherID) != nil)
    }

    @Test("the first file of a digest stays, unless it is damaged, has no pieces, or is going away")
    func storageKeys() async throws {
        #expect(try await fixture.commit(digest, key: "a", hasPieces: false) == "a")
        #expect(try await fixture.commit(digest, key: "b", hasPieces: false) == "a")
        #expect(try await fixture.commit(digest, key: "c") == "c")
        #expect(try await fixture.commit(digest, key: "d") == "c")
        #expect(try await fixture.commit(digest, key: "e", replacing: "a") == "c")
        #expect(try await fixture.commit(digest, key: "e", replacing: "c") == "e")
        #expect(try await fixture.commit(digest, key: "e", replacing: "c") == "e")
        try await database.run { session throws(DatabaseError) in
            _ = try session.query("UPDATE blobs SET state = 'tombstoned'")
        }
        #expect(try await database.blob(digest, inRepository: fixture.repositoryID) == nil)
        #expect(try await !database.mountBlob(digest, from: fixture.repositoryID, into: fixture.otherID))
        #expect(try await fixture.commit(digest, key: "f") == "f")
        #expect(try await database.blob(digest, inRepository: fixture.repositoryID)?.storageKey == "f")
    }

    @Test("commits of one digest at the same time agree on one file")
    func concurrentCommits() async throws {
        let fixture = fixture
        let digest = digest
        let keys = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<16 { group.addTask { try await fixture.commit(digest, key: "key-\(index)") } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(keys.count == 1)
    }

    // MARK: Sessions

    private func makeSession() async throws -> UUID {
        let id = UUID()
        try await database.createUploadSession(
            id: id, repositoryID: fixture.repositoryID, algorithm: .sha256, storageKey: "key-\(id)")
        return id
    }

    private func acquire(_ id: UUID, _ holder: LeaseHolder, seconds: Int = 30) async throws -> UploadSessionRecord? {
        try await database.acquireUploadLease(
            id: id, repositoryID: fixture.repositoryID, holder: holder, duration: .seconds(seconds))
    }

    @Test("a session belongs to its repository and keeps what was saved")
    func progress() async throws {
        let id = try await makeSession()
        #expect(try await database.uploadSession(id: id, repositoryID: fixture.otherID) == nil)
        let fresh = try #require(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID))
        #expect(fresh.offsetBytes == 0 && fresh.hashState.isEmpty && fresh.lease == nil && fresh.state == .open)
        let held = try #require(try await acquire(id, fixture.holder))
        #expect(held.lease?.holder == fixture.holder)
        #expect(
            try await database.saveUploadProgress(
                id: id, holder: fixture.holder, offsetBytes: 42, hashState: [1], pieceState: [2, 3],
                leaseDuration: .seconds(30)))
        let saved = try #require(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID))
        #expect(saved.offsetBytes == 42 && saved.hashState == [1] && saved.pieceState == [2, 3] && saved.lease != nil)
        #expect(
            try await database.saveUploadProgress(
                id: id, holder: fixture.holder, offsetBytes: 43, hashState: [], pieceState: [], leaseDuration: nil))
        let released = try #require(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID))
        #expect(released.offsetBytes == 43 && released.lease == nil)
    }

    @Test("a lease has one holder; an expired one can be taken, and the earlier holder can write no more")
    func leases() async throws {
        let id = try await makeSession()
        let other = LeaseHolder(originID: "origin-2", processID: "start-1")
        #expect(try await acquire(id, fixture.holder) != nil)
        #expect(try await acquire(id, fixture.holder) != nil)
        #expect(try await acquire(id, other) == nil)
        // After a restart, also for a statement of the earlier process that comes late.
        let later = LeaseHolder(originID: fixture.holder.originID, processID: "later")
        #expect(try await acquire(id, later) != nil)
        #expect(try await !database.renewUploadLease(id: id, holder: fixture.holder, duration: .seconds(30)))
        #expect(try await acquire(id, fixture.holder) != nil)
        #expect(try await database.renewUploadLease(id: id, holder: fixture.holder, duration: .zero))
        #expect(try await acquire(id, other) != nil)
        #expect(try await !database.renewUploadLease(id: id, holder: fixture.holder, duration: .seconds(30)))
        #expect(
            try await !database.saveUploadProgress(
                id: id, holder: fixture.holder, offsetBytes: 1, hashState: [], pieceState: [], leaseDuration: nil))
        try await database.releaseUploadLease(id: id, holder: fixture.holder)
        #expect(try await acquire(id, fixture.holder) == nil)
        try await database.releaseUploadLease(id: id, holder: other)
        #expect(try await acquire(id, fixture.holder) != nil)
    }

    @Test("an origin takes back the leases of its earlier process, and no others")
    func reclaiming() async throws {
        let ids = [try await makeSession(), try await makeSession(), try await makeSession()]
        let earlier = LeaseHolder(originID: "origin-1", processID: "start-0")
        let other = LeaseHolder(originID: "origin-2", processID: "start-0")
        for (id, holder) in zip(ids, [earlier, fixture.holder, other]) { _ = try await acquire(id, holder) }
        try await database.reclaimLeases(originID: "origin-1", exceptProcess: "start-1")
        var isHeld: [Bool] = []
        for id in ids {
            isHeld.append(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID)?.lease != nil)
        }
        #expect(isHeld == [false, true, true])
    }

    private func commit(_ id: UUID, _ digest: Digest, holder: LeaseHolder) async throws -> BlobCommit? {
        try await database.commitBlob(
            sessionID: id, holder: holder, repositoryID: fixture.repositoryID, digest: digest, storageKey: "key-\(id)",
            sizeBytes: 1, hasPieces: true)
    }

    @Test("a commit ends the session, may be repeated, and cannot become another digest")
    func commits() async throws {
        let id = try await makeSession()
        #expect(try await commit(id, digest, holder: fixture.holder) == nil)
        _ = try await acquire(id, fixture.holder)
        let other = LeaseHolder(originID: "origin-2", processID: "start-1")
        #expect(try await commit(id, digest, holder: other) == nil)
        #expect(try await database.blob(digest, inRepository: fixture.repositoryID) == nil)
        #expect(try await commit(id, digest, holder: fixture.holder)?.storageKey == "key-\(id)")
        #expect(try await commit(id, digest, holder: fixture.holder)?.storageKey == "key-\(id)")
        #expect(try await commit(id, Fixture.digest(2), holder: fixture.holder) == nil)
        let record = try #require(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID))
        #expect(record.state == .committed && record.committedDigest == digest && record.lease == nil)
        #expect(try await acquire(id, fixture.holder) == nil)
        try await database.deleteUploadSession(id: id)
        #expect(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID) != nil)
    }

    @Test("a cancelled session is gone")
    func cancellation() async throws {
        let id = try await makeSession()
        try await database.deleteUploadSession(id: id)
        #expect(try await database.uploadSession(id: id, repositoryID: fixture.repositoryID) == nil)
        #expect(try await acquire(id, fixture.holder) == nil)
    }
}
