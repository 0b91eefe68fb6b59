// SPDX-License-Identifier: Apache-2.0

import Disk
import FoundationEssentials
import Hashing
import NIOCore
import OCI
import OriginBlobStore
import OriginMetadata
import OriginUploads
import TestSupport
import Testing

private let mebibyte = 1 << 20

@Suite(.enabled(if: PostgresLease.isAvailable), .timeLimit(.minutes(2)))
struct UploadResumeTests {
    @Test("a client that hangs up finds what it sent, at any offset", arguments: [7, mebibyte, 2 * mebibyte + 99])
    func hangUp(count: Int) async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(3 * mebibyte)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        await expectUploadError {
            if case .bodyCutShort = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.append(
                to: id, in: fixture.repositoryID, UploadFixture.body(Array(bytes[..<count]), endingWith: HangUp()))
        }
        #expect(try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == Int64(count))
        _ = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(Array(bytes[count...])))
        try await fixture.expectStored(bytes)
    }

    @Test("after kill -9 the next process goes on at the last durable point and drops what came after it")
    func killed() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(36 * mebibyte)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        let (stream, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        let running = Task {
            try await fixture.service.append(
                to: id, in: fixture.repositoryID,
                UploadBody(bytes: stream, declaredBytes: nil, chunk: nil, admitted: {}))
        }
        continuation.yield(ByteBuffer(bytes: bytes[..<(33 * mebibyte + 5)]))
        // The body stands still behind the durable point at 32 MiB, as if the process ended there.
        while try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == 0 { await Task.yield() }
        #expect(try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == Int64(32 * mebibyte))

        // Another origin has to wait for the lease; the next process of this one need not, not even for its own start.
        let other = fixture.another(originID: "two", processID: "first")
        await expectUploadError {
            if case .busy = $0 { true } else { false }
        } _: {
            _ = try await other.append(to: id, in: fixture.repositoryID, UploadFixture.body([]))
        }
        let restarted = fixture.another(originID: "one", processID: "second")
        _ = try await restarted.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes),
            UploadFixture.body(Array(bytes[(32 * mebibyte)...])))
        try await fixture.expectStored(bytes)

        // The first process lost its lease: it can neither store a point nor disturb what was committed.
        await fixture.service.renewLeases()
        continuation.finish(throwing: HangUp())
        _ = await running.result
        #expect(
            try await fixture.database.uploadSession(id: id, repositoryID: fixture.repositoryID)?.state == .committed)
        try await fixture.expectStored(bytes)
    }

    @Test("a second writer is told the offset and changes nothing, in this process and in another origin")
    func secondWriter() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(10)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        let (stream, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        let (admitted, admit) = AsyncStream<Void>.makeStream()
        async let first = fixture.service.append(
            to: id, in: fixture.repositoryID,
            UploadBody(bytes: stream, declaredBytes: nil, chunk: nil, admitted: { admit.finish() }))
        for await _ in admitted {}
        for service in [fixture.service, fixture.another(originID: "two", processID: "x")] {
            await expectUploadError {
                if case .busy(sizeBytes: 0) = $0 { true } else { false }
            } _: {
                _ = try await service.append(to: id, in: fixture.repositoryID, UploadFixture.body([1]))
            }
            await expectUploadError {
                if case .busy = $0 { true } else { false }
            } _: {
                try await service.cancel(id, in: fixture.repositoryID)
            }
        }
        continuation.yield(ByteBuffer(bytes: bytes))
        continuation.finish()
        #expect(try await first.sizeBytes == 10)
    }

    @Test("a writer whose lease was taken stops before its next piece")
    func leaseLost() async throws {
        let fixture = try await UploadFixture()
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        let (stream, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        let (admitted, admit) = AsyncStream<Void>.makeStream()
        let running = Task {
            try await fixture.service.append(
                to: id, in: fixture.repositoryID,
                UploadBody(bytes: stream, declaredBytes: nil, chunk: nil, admitted: { admit.finish() }))
        }
        for await _ in admitted {}
        await fixture.service.renewLeases()
        try await fixture.database.reclaimLeases(originID: "one", exceptProcess: "second")
        await fixture.service.renewLeases()
        continuation.yield(ByteBuffer(repeating: 1, count: mebibyte))
        continuation.yield(ByteBuffer(repeating: 1, count: mebibyte))
        // Both may have been taken in before the first of them was to be written.
        continuation.finish()
        await expectUploadError {
            if case .leaseLost = $0 { true } else { false }
        } _: {
            _ = try await running.value
        }
    }

    @Test("a full disk ends the request with the offset kept; there is room again, and the upload goes on")
    func diskFull() async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(2 * mebibyte)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        _ = try await fixture.service.append(
            to: id, in: fixture.repositoryID, UploadFixture.body(Array(bytes[..<100])))
        try await Failpoints.shared.withRules("pwrite:1:error=ENOSPC", below: fixture.directory.path) {
            await expectUploadError {
                if case .store(let error) = $0 { error.kind == .outOfSpace } else { false }
            } _: {
                _ = try await fixture.service.append(
                    to: id, in: fixture.repositoryID, UploadFixture.body(Array(bytes[100...])))
            }
        }
        #expect(try await fixture.service.status(of: id, in: fixture.repositoryID).sizeBytes == 100)
        _ = try await fixture.service.finish(
            id, in: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(Array(bytes[100...])))
        try await fixture.expectStored(bytes)
    }

    @Test("a failed fsync is final: the blob is not visible and its session is gone", arguments: 1...3)
    func failedSync(number: Int) async throws {
        let fixture = try await UploadFixture()
        let bytes = UploadFixture.bytes(1000)
        let id = try await fixture.service.begin(in: fixture.repositoryID, algorithm: .sha256).id
        try await Failpoints.shared.withRules("fsync:\(number):error=EIO", below: fixture.directory.path) {
            await expectUploadError {
                if case .store(let error) = $0 { error.kind == .io } else { false }
            } _: {
                _ = try await fixture.service.finish(
                    id, in: fixture.repositoryID, as: UploadFixture.digest(bytes), UploadFixture.body(bytes))
            }
        }
        #expect(try await fixture.database.blob(UploadFixture.digest(bytes), inRepository: fixture.repositoryID) == nil)
        await expectUploadError {
            if case .unknownSession = $0 { true } else { false }
        } _: {
            _ = try await fixture.service.status(of: id, in: fixture.repositoryID)
        }
        #expect(try fixture.storedFiles().isEmpty)
    }
}
