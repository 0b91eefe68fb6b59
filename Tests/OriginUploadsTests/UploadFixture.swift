// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import FoundationEssentials
import Hashing
import Logging
import NIOCore
import OCI
import OriginBlobStore
import OriginMetadata
import OriginUploads
import Telemetry
import TestSupport
import Testing

typealias TestBody = UploadBody<AsyncThrowingStream<ByteBuffer, any Error>>

/// The client went away.
struct HangUp: Error {}

/// An upload service over a fresh database and a fresh directory, with one repository.
final class UploadFixture: Sendable {
    let lease: PostgresLease
    let directory: TemporaryDirectory
    let database: Database
    let store: FileBlobStore
    let pool = BlockingPool(name: "test", threadCount: 4, queueCountMax: 1024)
    let repositoryID: Int64
    let service: UploadService

    init(_ configure: (inout UploadService.Configuration) -> Void = { _ in }) async throws {
        lease = try await PostgresLease()
        directory = try TemporaryDirectory()
        database = try await lease.database()
        store = try FileBlobStore(directory: directory.path, reserveBytes: 0)
        let slug = try #require(OrganizationSlug("demo"))
        let name = try #require(RepositoryName("app"))
        let organization = try await database.createOrganization(slug: slug, label: "0123456789abcdef")
        repositoryID = try await database.ensureRepository(organizationID: organization.id, name: name).id
        service = Self.service(database, store, pool, originID: "one", processID: "first", configure)
    }

    /// As after a restart (another process) or as a second origin (another origin).
    func another(
        originID: String,
        processID: String,
        _ configure: (inout UploadService.Configuration) -> Void = { _ in }
    ) -> UploadService {
        Self.service(database, store, pool, originID: originID, processID: processID, configure)
    }

    private static func service(
        _ database: Database,
        _ store: FileBlobStore,
        _ pool: BlockingPool,
        originID: String,
        processID: String,
        _ configure: (inout UploadService.Configuration) -> Void
    ) -> UploadService {
        var configuration = UploadService.Configuration(originID: originID, processID: processID)
        configure(&configuration)
        return UploadService(
            database: database,
            store: store,
            hashPool: pool,
            diskPool: pool,
            configuration: configuration,
            metrics: Metrics(),
            logger: Logger(label: "test"))
    }

    /// - Parameter chunkBytes: How the network cuts the body.
    static func body(
        _ bytes: [UInt8],
        chunk: Range<Int64>? = nil,
        isLengthDeclared: Bool = true,
        chunkBytes: Int = 65_521,
        endingWith error: (any Error)? = nil
    ) -> TestBody {
        let (stream, continuation) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        for start in stride(from: 0, to: bytes.count, by: chunkBytes) {
            continuation.yield(ByteBuffer(bytes: bytes[start..<min(start + chunkBytes, bytes.count)]))
        }
        continuation.finish(throwing: error)
        let declaredBytes = isLengthDeclared && error == nil ? Int64(bytes.count) : nil
        return UploadBody(bytes: stream, declaredBytes: declaredBytes, chunk: chunk, admitted: {})
    }

    static func bytes(_ count: Int, seed: UInt8 = 1) -> [UInt8] {
        var state = UInt64(seed)
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
    }

    static func digest(_ bytes: [UInt8], _ algorithm: DigestAlgorithm = .sha256) -> Digest {
        var hash = StreamingHash(algorithm)
        hash.update(bytes)
        return hash.finalized()
    }

    /// Checks that the repository holds these bytes under their digest, with a true piece list.
    func expectStored(_ bytes: [UInt8], _ algorithm: DigestAlgorithm = .sha256) async throws {
        let digest = Self.digest(bytes, algorithm)
        let record = try #require(try await database.blob(digest, inRepository: repositoryID))
        let key = try #require(BlobKey(record.storageKey))
        let blob = try #require(try store.open(key))
        #expect(record.sizeBytes == Int64(bytes.count))
        #expect(blob.sizeBytes == Int64(bytes.count))
        var stored = [UInt8](repeating: 0, count: bytes.count)
        let readCount = try stored.withUnsafeMutableBytes { try blob.file.read(into: $0, at: 0) }
        #expect(readCount == bytes.count && stored == bytes)
        let pieces = try #require(try store.pieces(key, digest: digest, sizeBytes: record.sizeBytes))
        for index in 0..<pieces.count {
            let range = pieces.range(of: index)
            #expect(
                stored[Int(range.lowerBound)..<Int(range.upperBound)].withUnsafeBytes {
                    pieces.matches($0, piece: index)
                })
        }
    }

    /// Where the digest's bytes are now.
    func key(of digest: Digest) async throws -> BlobKey {
        let record = try #require(try await database.blob(digest, inRepository: repositoryID))
        return try #require(BlobKey(record.storageKey))
    }

    /// As a disk that forgets would.
    func overwrite(_ key: BlobKey, at offset: Int, with byte: UInt8) throws {
        let blob = try #require(try store.open(key))
        let file = try File.open(blob.file.path, .readWrite)
        try withUnsafeBytes(of: byte) { try file.write($0, at: Int64(offset)) }
    }

    /// Runs what the service does without a request.
    func whileRunning(_ body: () async throws -> Void) async throws {
        let background = Task { [service] in await service.run() }
        defer { background.cancel() }
        try await body()
    }

    /// Paths of all files in the store.
    func storedFiles() throws -> [String] {
        let root = directory.path + "/blobs"
        var files: [String] = []
        try Directory.entries(root) { folder in
            try? Directory.entries("\(root)/\(folder)") { files.append("\(root)/\(folder)/\($0)") }
        }
        return files.sorted()
    }
}

/// Waits for something that happens without a request.
func eventually(sourceLocation: SourceLocation = #_sourceLocation, _ holds: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !holds() {
        guard ContinuousClock.now < deadline else {
            Issue.record("did not happen in time", sourceLocation: sourceLocation)
            return
        }
        await Task.yield()
    }
}

/// Checks which error an upload ends with.
func expectUploadError(
    _ matches: (UploadError) -> Bool,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
    } catch {
        let isExpected = (error as? UploadError).map(matches) ?? false
        #expect(isExpected, "\(error)", sourceLocation: sourceLocation)
    }
}
