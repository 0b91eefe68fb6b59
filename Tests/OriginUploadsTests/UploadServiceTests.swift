// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Hashing
import OCI
import OriginBlobStore
import OriginMetadata
import OriginUploads
import TestSupport
import Testing

private let mebibyte = 1 << 20

@Suite(.enabled(if: PostgresLease.isAvailable), .timeLimit(.minutes(2)))
struct UploadServiceTests {
    @Test(
        "POST, one streamed PATCH, PUT without a body: docker's way",
        arguments: [0, 1, 2048, mebibyte, 3 * mebibyte + 12_345], DigestAlgorithm.allCases)
    func streamed(count: Int, algorithm: DigestAlgorithm) async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(count)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: algorithm).id
        let status = try await fixture.service.append(
            to: id, in: fixture.repositoryID, UploadFixture.body(bytes, isLengthDeclared: false))
        #expect(status.sizeBytes == Int64(count))
        let digest = UploadFixture.digest(bytes, algorithm)
        let blob = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: digest, UploadFixture.body([]))
        #expect(blob.digest == digest && blob.sizeBytes == Int64(count))
        try await fixture.expectStored(bytes, algorithm)
    }

    @Test("POST, PUT with the whole body: containerd's way", arguments: [0, 2048, 2 * mebibyte])
    func monolithic(count: Int) async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(count)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        _ = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(bytes))
        try await fixture.expectStored(bytes)
    }

    @Test("a single POST costs one transaction and two syncs' worth of files")
    func single() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(2048)
        let before = fixture.database.statementCount
        _ = try await fixture.service.push(
            to: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(bytes))
        #expect(fixture.database.statementCount - before <= 5)
        #expect(try fixture.storedFiles().count == 1)
        try await fixture.expectStored(bytes)
    }

    @Test("chunks in order make one blob, wherever they are cut; the last one may come with the PUT")
    func chunked() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(3 * mebibyte)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        var start = 0
        for end in [5, mebibyte - 1, mebibyte + 1, 2 * mebibyte] {
            let status = try await fixture.service.append(
                to: id, in: fixture.repositoryID,
                UploadFixture.body(Array(bytes[start..<end]), chunk: Int64(start)..<Int64(end)))
            #expect(status.sizeBytes == Int64(end))
            start = end
        }
        _ = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes),
            UploadFixture.body(Array(bytes[start...]), chunk: Int64(start)..<Int64(bytes.count)))
        try await fixture.expectStored(bytes)
    }

    @Test("a chunk out of order is refused with the offset, and the session goes on")
    func outOfOrder() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(100)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        _ = try await fixture.service.append(
            to: id, in: fixture.repositoryID, UploadFixture.body(Array(bytes[..<50])))
        for chunk in [0..<10, 40..<60, 51..<60] as [Range<Int64>] {
            await expectUploadError {
                if case .outOfOrder(sizeBytes: 50) = $0 { true } else { false }
            } _: {
                _ = try await fixture.service.append(
                    to: id, in: fixture.repositoryID,
                    UploadFixture.body(UploadFixture.bytes(chunk.count), chunk: chunk))
            }
        }
        #expect(try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == 50)
        _ = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(Array(bytes[50...])))
        try await fixture.expectStored(bytes)
    }

    @Test("a wrong digest closes the session and leaves no file")
    func digestMismatch() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(1000)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        await expectUploadError {
            if case .digestMismatch(let actual) = $0 { actual == UploadFixture.digest(bytes) } else { false }
        } _: {
            _ = try await fixture.service.finish(
                id, in: fixture.repositoryID, as: Fixture.digest(1), UploadFixture.body(bytes))
        }
        await expectUploadError {
            if case .unknownSession = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.status(of: id, in: fixture.repositoryID)
        }
        await expectUploadError {
            if case .digestMismatch = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.push(
                to: fixture.repositoryID, as: Fixture.digest(1), UploadFixture.body(bytes))
        }
        #expect(try fixture.storedFiles().isEmpty)
    }

    @Test("a single POST that is cut short stores nothing")
    func singleCutShort() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(1000)
        await expectUploadError {
            if case .bodyCutShort = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.push(
                to: fixture.repositoryID, as: UploadFixture.digest(bytes),
                UploadFixture.body(bytes, endingWith: HangUp()))
        }
        #expect(try fixture.storedFiles().isEmpty)
    }

    @Test("bodies over the limit are refused, declared or streamed")
    func tooLarge() async throws {
        let fixture = try await UploadFixture { $0.blobBytesMax = 100 }
        for isLengthDeclared in [true, false] {
            await expectUploadError {
                if case .tooLarge(bytesMax: 100) = $0 { true } else { false }
            } _: {
                _ = try await fixture.service.push(
                    to: fixture.repositoryID, as: Fixture.digest(1),
                    UploadFixture.body(UploadFixture.bytes(101), isLengthDeclared: isLengthDeclared))
            }
        }
        #expect(try fixture.storedFiles().isEmpty)
    }

    @Test("more uploads than the limit are refused, and the limit is free again afterwards")
    func overloaded() async throws {
        let fixture = try await UploadFixture { $0.uploadCountMax = 0 }
        await expectUploadError {
            if case .overloaded = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.push(to: fixture.repositoryID, as: Fixture.digest(1), UploadFixture.body([]))
        }
    }

    @Test("a PUT that is repeated succeeds again; as another digest the session is unknown")
    func replay() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(10)
        let digest = UploadFixture.digest(bytes)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        let first = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        let second = try await fixture.service.finish(id, in: fixture.repositoryID, as: digest, UploadFixture.body([]))
        #expect(first == second)
        await expectUploadError {
            if case .unknownSession = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.finish(
                id, in: fixture.repositoryID, as: Fixture.digest(1), UploadFixture.body([]))
        }
        for refused in [
            { _ = try await fixture.service.append(to: id, in: fixture.repositoryID, UploadFixture.body([])) },
            { _ = try await fixture.service.status(of: id, in: fixture.repositoryID) },
            { try await fixture.service.cancel(id, in: fixture.repositoryID) },
        ] {
            await expectUploadError {
                if case .unknownSession = $0 { true } else { false }
            } _: {
                try await refused()
            }
        }
        try await fixture.expectStored(bytes)
    }

    @Test("cancelling ends the session and removes its file; a session belongs to its repository")
    func cancel() async throws {
        let fixture = try await UploadFixture()
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        _ = try await fixture.service.append(to: id, in: fixture.repositoryID, UploadFixture.body([1, 2, 3]))
        await expectUploadError {
            if case .unknownSession = $0 { true } else { false }
        } _: {
            try await fixture.service.cancel(id, in: fixture.repositoryID + 1)
        }
        try await fixture.service.cancel(id, in: fixture.repositoryID)
        #expect(try fixture.storedFiles().isEmpty)
        await expectUploadError {
            if case .unknownSession = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.status(of: id, in: fixture.repositoryID)
        }
    }

    @Test("a digest that was not announced is hashed again, up to the limit")
    func unannouncedAlgorithm() async throws {
        let fixture = try await UploadFixture { $0.rehashBytesMax = Int64(2 * mebibyte) }
        for (count, isAccepted) in [(2 * mebibyte, true), (2 * mebibyte + 1, false)] {
            let bytes = UploadFixture.bytes(count)
            let digest = UploadFixture.digest(bytes, .sha512)
            let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
            _ = try await fixture.service.append(to: id, in: fixture.repositoryID, UploadFixture.body(bytes))
            if isAccepted {
                _ = try await fixture.service.finish(id, in: fixture.repositoryID, as: digest, UploadFixture.body([]))
                try await fixture.expectStored(bytes, .sha512)
            } else {
                await expectUploadError {
                    if case .algorithmNotAnnounced = $0 { true } else { false }
                } _: {
                    _ = try await fixture.service.finish(
                        id, in: fixture.repositoryID, as: digest, UploadFixture.body([]))
                }
                #expect(try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == Int64(count))
            }
        }
    }

    @Test("content that is stored already keeps its file; a file that is too short is replaced by the next push")
    func dedupeAndHeal() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(2 * mebibyte)
        let digest = UploadFixture.digest(bytes)
        let first = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        let second = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        #expect(first.key == second.key)
        try await fixture.whileRunning {
            // The blob and its piece list; the second pair goes once the first was found to be right.
            try await eventually { try fixture.storedFiles().count == 2 }
        }
        try await fixture.expectStored(bytes)
        _ = try fixture.store.openForAppend(first.key, truncatingTo: 17)
        let third = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        #expect(third.key != first.key)
        try await fixture.expectStored(bytes)
    }

    @Test(
        "a stored file with one wrong byte is found out and replaced after the next push of its content",
        arguments: [(1000, 500), (2 * mebibyte, 0), (40 * mebibyte + 3, 40 * mebibyte + 2)])
    func healFlippedByte(sizeBytes: Int, offset: Int) async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(sizeBytes)
        let digest = UploadFixture.digest(bytes)
        let first = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        try fixture.overwrite(first.key, at: offset, with: ~bytes[offset])
        let change = try await fixture.database.latestChange()
        _ = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        try await fixture.whileRunning {
            try await eventually { try await fixture.key(of: digest) != first.key }
        }
        try await fixture.expectStored(bytes)
        #expect(try await fixture.database.latestChange() > change, "who remembers the damaged file is told")
    }

    @Test("a heal after the answer does not bring back a blob that was deleted from its repository meanwhile")
    func healAfterDelete() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(2 * mebibyte)
        let digest = UploadFixture.digest(bytes)
        let first = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        try fixture.overwrite(first.key, at: 7, with: ~bytes[7])
        _ = try await fixture.service.push(to: fixture.repositoryID, as: digest, UploadFixture.body(bytes))
        #expect(try await fixture.database.unlinkBlob(digest, inRepository: fixture.repositoryID) == .unlinked)
        try await fixture.whileRunning {
            try await eventually { try await fixture.database.storedBlob(digest)?.storageKey != first.key.text }
        }
        #expect(try await fixture.database.blob(digest, inRepository: fixture.repositoryID) == nil)
    }

    @Test("sessions that nobody writes to end with what they received; those in use and fresh ones stay")
    func idleSessions() async throws {
        let fixture = try await UploadFixture()
        let service = fixture.another(originID: "one", processID: "first") { $0.sessionIdleTime = .zero }
        let repositoryID = fixture.repositoryID
        let idle = try await service.begin(in: repositoryID, algorithm: .sha256)
        _ = try await service.append(
            to: idle.id, in: repositoryID, UploadFixture.body(UploadFixture.bytes(2 * mebibyte)))
        let held = try await service.begin(in: repositoryID, algorithm: .sha256)
        let holder = LeaseHolder(originID: "two", processID: "x")
        _ = try #require(
            try await fixture.database.acquireUploadLease(
                id: held.id, repositoryID: repositoryID, holder: holder, duration: .seconds(30)))
        await fixture.service.removeOldSessions()  // Its sessions have seven days.
        #expect(try await service.status(of: idle.id, in: repositoryID).sizeBytes == Int64(2 * mebibyte))

        await service.removeOldSessions()
        await expectUploadError({ if case .unknownSession = $0 { true } else { false } }) {
            _ = try await service.status(of: idle.id, in: repositoryID)
        }
        #expect(try fixture.storedFiles().isEmpty)
        #expect(try await service.status(of: held.id, in: repositoryID).sizeBytes == 0)
    }

    @Test("a committed session is remembered for its time, and then no more")
    func committedSessions() async throws {
        let fixture = try await UploadFixture()
        let repositoryID = fixture.repositoryID
        let bytes = UploadFixture.bytes(1000)
        let digest = UploadFixture.digest(bytes)
        let session = try await fixture.service.begin(in: repositoryID, algorithm: .sha256)
        _ = try await fixture.service.finish(session.id, in: repositoryID, as: digest, UploadFixture.body(bytes))
        await fixture.service.removeOldSessions()
        let again = try await fixture.service.finish(
            session.id, in: repositoryID, as: digest, UploadFixture.body(bytes))
        #expect(again.digest == digest)
        let service = fixture.another(originID: "one", processID: "first") { $0.committedSessionTime = .zero }
        await service.removeOldSessions()
        await expectUploadError({ if case .unknownSession = $0 { true } else { false } }) {
            _ = try await service.finish(session.id, in: repositoryID, as: digest, UploadFixture.body(bytes))
        }
        try await fixture.expectStored(bytes)
    }
}
