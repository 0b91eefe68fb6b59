// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

/// The ways to push a blob (distribution-spec 1.1, "Pushing blobs").
enum PushForm: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case singlePost = "one POST"
    case postAndPut = "POST and PUT"
    case oneChunk = "one chunk by PATCH, then an empty PUT"
    case threeChunks = "three chunks by PATCH, then an empty PUT"
    case lastChunkInPut = "two chunks by PATCH, the last one in the PUT"
    case stream = "a PATCH in the chunked coding, then an empty PUT"

    var testDescription: String { rawValue }
}

/// An upload as its client sees it: each answer says where the next request goes, and the algorithm of the digest is
/// told at the end only, as the public conformance suite does.
struct ConformanceUpload: Sendable {
    let repository: Repository
    let bytes: [UInt8]
    private(set) var location: String

    private static let contentType = [("Content-Type", "application/octet-stream")]

    init(_ bytes: [UInt8], to repository: Repository) async throws {
        self.repository = repository
        self.bytes = bytes
        location = try await repository.startUpload()
    }

    /// Three, or fewer if there are not enough bytes.
    var chunks: [Range<Int>] {
        let size = bytes.count / 3 + 1
        return stride(from: 0, to: bytes.count, by: size).map { $0..<min($0 + size, bytes.count) }
    }

    static func query(_ digest: Digest) -> String { "?digest=\(digest.algorithm.rawValue)%3A\(digest.hex)" }

    /// A chunk that fits.
    mutating func patch(_ chunk: Range<Int>) async throws {
        let answer = try await send("PATCH", location, chunk)
        try #require(answer.status == 202, "\(chunk): \(answer.text)")
        #expect(answer["range"] == "0-\(chunk.upperBound - 1)")
        location = try #require(answer["location"])
    }

    /// Everything in a body without `Content-Length` and `Content-Range`.
    mutating func stream() async throws {
        let connection = try HTTPConnection(to: repository.system.origin)
        try await connection.sendHead(
            of: repository.request(
                "PATCH", location, headers: Self.contentType + [("Transfer-Encoding", "chunked")]))
        for start in stride(from: 0, to: bytes.count, by: 1000) {
            try await connection.sendChunk(Array(bytes[start..<min(start + 1000, bytes.count)]))
        }
        try await connection.sendChunk([])
        let answer = try await connection.readAnswer(to: "PATCH")
        try #require(answer.status == 202, "\(answer.text)")
        location = try #require(answer["location"])
    }

    /// A chunk that does not fit: 416, and the upload can be asked how far it has come.
    mutating func expectRefused(
        _ method: String, _ chunk: Range<Int>, as digest: Digest, received receivedBytes: Int
    ) async throws {
        let refused = try await send(
            method, method == "PUT" ? location + Self.query(digest) : location, chunk)
        #expect(refused.status == 416, "\(method) \(chunk)")
        let status = try await repository.ask("GET", location)
        try #require(status.status == 204, "\(status.text)")
        #expect(status["range"] == "0-\(max(receivedBytes - 1, 0))", "\(method) \(chunk)")
        location = try #require(status["location"])
    }

    /// The end.
    /// - Parameter chunk: What the PUT brings along.
    func put(_ chunk: Range<Int>? = nil, as digest: Digest) async throws -> Answer {
        try await send("PUT", location + Self.query(digest), chunk)
    }

    /// The end of an upload that had no chunks.
    func putAll(as digest: Digest) async throws -> Answer {
        try await repository.ask("PUT", location + Self.query(digest), headers: Self.contentType, body: bytes)
    }

    static func post(_ bytes: [UInt8], to repository: Repository, as digest: Digest) async throws -> Answer {
        try await repository.ask("POST", "blobs/uploads/" + query(digest), headers: contentType, body: bytes)
    }

    private func send(_ method: String, _ target: String, _ chunk: Range<Int>?) async throws -> Answer {
        let range = chunk.map { [("Content-Range", "\($0.lowerBound)-\($0.upperBound - 1)")] } ?? []
        return try await repository.ask(
            method, target, headers: Self.contentType + range, body: chunk.map { Array(bytes[$0]) } ?? [])
    }
}

extension Repository {
    /// A repository that nobody has pushed to.
    static func unused(_ name: String, in system: System) -> Repository {
        system.repository("conformance/\(name)-\(ConformanceData.unique())")
    }

    /// Pushes bytes under a digest, which need not be theirs.
    /// - Returns: The last answer.
    func send(_ bytes: [UInt8], as digest: Digest, by form: PushForm) async throws -> Answer {
        switch form {
        case .singlePost:
            return try await ConformanceUpload.post(bytes, to: self, as: digest)
        case .postAndPut:
            return try await ConformanceUpload(bytes, to: self).putAll(as: digest)
        case .oneChunk:
            var upload = try await ConformanceUpload(bytes, to: self)
            if !bytes.isEmpty { try await upload.patch(bytes.indices) }
            return try await upload.put(as: digest)
        case .threeChunks:
            var upload = try await ConformanceUpload(bytes, to: self)
            for chunk in upload.chunks { try await upload.patch(chunk) }
            return try await upload.put(as: digest)
        case .lastChunkInPut:
            var upload = try await ConformanceUpload(bytes, to: self)
            for chunk in upload.chunks.dropLast() { try await upload.patch(chunk) }
            return try await upload.put(upload.chunks.last, as: digest)
        case .stream:
            var upload = try await ConformanceUpload(bytes, to: self)
            try await upload.stream()
            return try await upload.put(as: digest)
        }
    }

    // MARK: Expectations

    /// The blob was taken, and is what is found under the answer's `Location`.
    func expectPushed(
        _ blob: TestBlob, _ answer: Answer, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try #require(answer.status == 201, "\(answer.text)", sourceLocation: sourceLocation)
        #expect(answer["docker-content-digest"] == "\(blob.digest)", sourceLocation: sourceLocation)
        let location = try #require(answer["location"], sourceLocation: sourceLocation)
        try await expectBlob(blob, at: location, sourceLocation: sourceLocation)
    }

    /// HEAD here; GET here and, for all but the empty blob, at the edge that its answer leads to.
    func expectBlob(
        _ blob: TestBlob, at path: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let (head, redirect) = try await headAndGet(path)
        var get = redirect
        if !blob.bytes.isEmpty {
            try #require(redirect.status == 307, "\(redirect.text)", sourceLocation: sourceLocation)
            #expect(redirect["docker-content-digest"] == "\(blob.digest)", sourceLocation: sourceLocation)
            get = try await EdgeLink(url: try #require(redirect["location"])).get()
        }
        for answer in [head, get] {
            #expect(answer.status == 200, sourceLocation: sourceLocation)
            #expect(answer["content-length"] == "\(blob.sizeBytes)", sourceLocation: sourceLocation)
            #expect(answer["docker-content-digest"] == "\(blob.digest)", sourceLocation: sourceLocation)
        }
        let isExact = get.body == blob.bytes
        #expect(isExact, "\(path)", sourceLocation: sourceLocation)
    }

    /// What is deleted is gone with the answer.
    func expectDeletable(_ path: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deleted = try await ask("DELETE", path)
        #expect(deleted.status == 202, "\(path): \(deleted.text)", sourceLocation: sourceLocation)
        #expect(try await ask("HEAD", path).status == 404, "\(path)", sourceLocation: sourceLocation)
    }

    /// Both on one connection: a body behind the HEAD's answer would be read as the beginning of the GET's.
    func headAndGet(
        _ path: String, headers: [(name: String, value: String)] = []
    ) async throws -> (head: Answer, get: Answer) {
        let connection = try HTTPConnection(to: system.origin)
        let head = try await connection.answer(to: request("HEAD", path, headers: headers))
        return (head, try await connection.answer(to: request("GET", path, headers: headers)))
    }
}
