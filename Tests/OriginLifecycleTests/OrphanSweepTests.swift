// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import FoundationEssentials
import Glibc
import Logging
import OCI
import OriginBlobStore
import OriginLifecycle
import OriginMetadata
import Synchronization
import Telemetry
import TestSupport
import Testing

private final class Sweeps: Sendable {
    let areOver = Atomic(false)
}

@Suite struct OrphanSweepTests {
    private let lease: PostgresLease
    private let directory: TemporaryDirectory
    private let database: Database
    private let store: FileBlobStore
    private let repositoryID: Int64

    init() async throws {
        lease = try await PostgresLease()
        directory = try TemporaryDirectory()
        database = try await lease.database()
        store = try FileBlobStore(directory: directory.path, reserveBytes: 0)
        let slug = try #require(OrganizationSlug("demo"))
        let name = try #require(RepositoryName("app"))
        let organization = try await database.createOrganization(slug: slug, label: "0123456789abcdef")
        repositoryID = try await database.ensureRepository(organizationID: organization.id, name: name).id
    }

    private func sweep(patience: Duration) -> OrphanSweep {
        OrphanSweep(
            database: database, store: store,
            diskPool: BlockingPool(name: "test", threadCount: 1, queueCountMax: 16), patience: patience,
            metrics: Metrics(), logger: Logger(label: "test"))
    }

    /// A blob with a piece list, as far as the disk goes.
    private func file() throws -> BlobKey {
        let key = BlobKey.random()
        let file = try store.create(key)
        try file.appendPieces([UInt8](repeating: 7, count: 64), at: 0)
        return key
    }

    private func files() throws -> Int {
        var count = 0
        try Directory.entries(directory.path + "/blobs") { folder in
            try? Directory.entries("\(directory.path)/blobs/\(folder)") { _ in count += 1 }
        }
        return count
    }

    @Test("files that nothing names go, with their piece lists; those of blobs and of uploads stay")
    func orphans() async throws {
        let committed = try file()
        let digest = try #require(Digest(algorithm: .sha256, bytes: [UInt8](repeating: 1, count: 32)))
        _ = try await database.commitBlob(
            sessionID: nil, holder: LeaseHolder(originID: "one", processID: "first"), repositoryID: repositoryID,
            digest: digest, storageKey: committed.text, sizeBytes: 0, hasPieces: true)
        let uploading = try file()
        try await database.createUploadSession(
            id: UUID(), repositoryID: repositoryID, algorithm: .sha256, storageKey: uploading.text)
        let orphans = try (0..<20).map { _ in try file() }
        // A crash between the two removals leaves the blob alone, or a foreign hand the list.
        try Directory.remove("\(directory.path)/blobs/\(orphans[0].text.prefix(2))/\(orphans[0].text)")

        let sweep = sweep(patience: .zero)
        #expect(try await sweep.sweep() == 0, "a file is no orphan at first sight")
        #expect(try await sweep.sweep() == orphans.count)
        #expect(try files() == 4)
        for key in [committed, uploading] { #expect(try store.open(key) != nil) }
        #expect(try await sweep.sweep() == 0)
    }

    @Test("where a large part of the files belongs to nothing, the database is the wrong one, and nothing goes")
    func wrongDatabase() async throws {
        // All in one folder, which is what is judged.
        let keys = (0..<40).compactMap { BlobKey("ab" + String(repeating: "0", count: 28) + String(10 + $0)) }
        for key in keys { _ = try store.create(key) }
        let sweep = sweep(patience: .zero)
        for _ in 1...3 { #expect(try await sweep.sweep() == 0) }
        #expect(try files() == 40)
        for key in keys.dropFirst(12) {
            try await database.createUploadSession(
                id: UUID(), repositoryID: repositoryID, algorithm: .sha256, storageKey: key.text)
        }
        #expect(try await sweep.sweep() == 12)
    }

    @Test("a file that somebody writes to stays, though it has no row: a single POST has none before its end")
    func writtenTo() async throws {
        let key = try file()
        let sweep = sweep(patience: .seconds(2))
        #expect(try await sweep.sweep() == 0)
        let deadline = ContinuousClock.now + .seconds(5)
        let file = try store.openForAppend(key, truncatingTo: 0)
        // A thread of its own: a sweep of a busy machine may take longer than a file has to rest.
        let sweeps = Sweeps()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { () async throws in
                while ContinuousClock.now < deadline { #expect(try await sweep.sweep() == 0) }
                sweeps.areOver.store(true, ordering: .relaxed)
            }
            try await BlockingPool(name: "writer", threadCount: 1, queueCountMax: 1).run {
                while !sweeps.areOver.load(ordering: .relaxed) {
                    try withUnsafeBytes(of: UInt8(1)) { try file.write($0, at: 0) }
                    poll(nil, 0, 10)
                }
            }
            try await group.waitForAll()
        }
        #expect(try store.open(key) != nil)
    }

    @Test("an orphan is not touched before its time, and not at all if it got an owner")
    func patience() async throws {
        let orphan = try file()
        let patient = sweep(patience: .seconds(3600))
        for _ in 1...3 { #expect(try await patient.sweep() == 0) }
        #expect(try store.open(orphan) != nil)

        let hasty = sweep(patience: .zero)
        #expect(try await hasty.sweep() == 0)
        try await database.createUploadSession(
            id: UUID(), repositoryID: repositoryID, algorithm: .sha256, storageKey: orphan.text)
        for _ in 1...3 { #expect(try await hasty.sweep() == 0) }
        #expect(try store.open(orphan) != nil)
    }
}
