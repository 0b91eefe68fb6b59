// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

extension Integration.Conformance {
    /// distribution-spec 1.1, "Pushing blobs": each form with each algorithm, to the end and to the blob's deletion.
    @Suite("Conformance: uploads", .everyProcessLives)
    struct Uploads {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = .unused("uploads", in: system)
        }

        /// Three chunks, the last one shorter than the others.
        private static let sizeBytes = 3067

        // MARK: Forms

        @Test(
            "a blob is found under the answered Location, and deleted",
            arguments: PushForm.allCases, DigestAlgorithm.allCases)
        func blob(form: PushForm, algorithm: DigestAlgorithm) async throws {
            try await expectLife(of: TestBlob(sizeBytes: Self.sizeBytes, algorithm: algorithm), by: form)
        }

        @Test(
            "the empty blob is found under the answered Location, and deleted",
            arguments: PushForm.allCases, DigestAlgorithm.allCases)
        func emptyBlob(form: PushForm, algorithm: DigestAlgorithm) async throws {
            try await expectLife(of: TestBlob(bytes: [], algorithm: algorithm), by: form)
        }

        @Test(
            "the blob {}, which artifacts share, is found under the answered Location, and deleted",
            arguments: PushForm.allCases, DigestAlgorithm.allCases)
        func emptyObject(form: PushForm, algorithm: DigestAlgorithm) async throws {
            try await expectLife(of: TestBlob(bytes: Array("{}".utf8), algorithm: algorithm), by: form)
        }

        private func expectLife(of blob: TestBlob, by form: PushForm) async throws {
            let answer = try await repository.send(blob.bytes, as: blob.digest, by: form)
            try await repository.expectPushed(blob, answer)
            try await repository.expectDeletable("blobs/\(blob.digest)")
        }

        @Test(
            "bytes that are not those of the digest are 400 DIGEST_INVALID at the end, and nothing is stored",
            arguments: PushForm.allCases, DigestAlgorithm.allCases)
        func otherBytes(form: PushForm, algorithm: DigestAlgorithm) async throws {
            let named = TestBlob(sizeBytes: Self.sizeBytes, algorithm: algorithm)
            let sent = TestBlob(bytes: named.bytes + Array("oh no".utf8), algorithm: algorithm)
            let answer = try await repository.send(sent.bytes, as: named.digest, by: form)
            #expect(answer.status == 400)
            #expect(answer.codes == ["DIGEST_INVALID"])
            for blob in [named, sent] {
                #expect(try await repository.ask("HEAD", "blobs/\(blob.digest)").status == 404)
            }
        }

        // MARK: Order

        @Test(
            "before each chunk come those that do not fit: 416, and the upload goes on where GET says that it is",
            arguments: [PushForm.threeChunks, .lastChunkInPut], DigestAlgorithm.allCases)
        func outOfOrder(form: PushForm, algorithm: DigestAlgorithm) async throws {
            let blob = TestBlob(sizeBytes: Self.sizeBytes, algorithm: algorithm)
            var upload = try await ConformanceUpload(blob.bytes, to: repository)
            let chunks = upload.chunks
            for (position, chunk) in chunks.enumerated() {
                let isLast = position == chunks.count - 1
                // One ahead, unless this is the last; back to the first byte, unless that is the right one.
                let wrong = chunks[(position + 1)...].prefix(1) + chunks[..<position].prefix(1)
                for other in wrong {
                    let isEnd = isLast || other.upperBound == blob.sizeBytes
                    try await upload.expectRefused(
                        form == .lastChunkInPut && isEnd ? "PUT" : "PATCH", other, as: blob.digest,
                        received: chunk.lowerBound)
                }
                if form == .threeChunks || !isLast { try await upload.patch(chunk) }
            }
            let answer = try await upload.put(form == .lastChunkInPut ? chunks.last : nil, as: blob.digest)
            try await repository.expectPushed(blob, answer)
            try await repository.expectDeletable("blobs/\(blob.digest)")
        }

        @Test("an upload is cancelled before its first byte", arguments: DigestAlgorithm.allCases)
        func cancel(algorithm: DigestAlgorithm) async throws {
            let upload = try await repository.startUpload("?digest-algorithm=\(algorithm.rawValue)")
            #expect(try await repository.ask("DELETE", upload, headers: [("Content-Length", "0")]).status == 204)
            #expect(try await repository.ask("GET", upload).status == 404)
        }

        // MARK: Mounts

        private func mountPath(_ digest: Digest, from source: Repository? = nil) -> String {
            let from = source.map { "&from=" + $0.name.replacing("/", with: "%2F") } ?? ""
            return "blobs/uploads/?mount=\(digest.algorithm.rawValue)%3A\(digest.hex)\(from)"
        }

        @Test("a mount links a blob of the repository it names", arguments: DigestAlgorithm.allCases)
        func mount(algorithm: DigestAlgorithm) async throws {
            let source = Repository.unused("mount-source", in: system)
            let blob = try await source.pushedBlob(sizeBytes: 512, algorithm: algorithm)
            let answer = try await repository.ask("POST", mountPath(blob.digest, from: source))
            try await repository.expectPushed(blob, answer)
            try await repository.expectDeletable("blobs/\(blob.digest)")
            try await source.expectBlob(blob, at: "blobs/\(blob.digest)")
            try await source.expectDeletable("blobs/\(blob.digest)")
        }

        @Test(
            "a mount that names no repository needs no token for the one that has the blob",
            arguments: DigestAlgorithm.allCases)
        func mountWithoutSource(algorithm: DigestAlgorithm) async throws {
            let source = Repository.unused("mount-source", in: system)
            let blob = try await source.pushedBlob(sizeBytes: 512, algorithm: algorithm)
            let issued = try await repository.ask(
                "GET", "/token?service=\(system.origin.authority)&scope=repository:\(repository.name):pull,push")
            let token = try #require(issued.json?["token"]?.stringValue, "\(issued.text)")
            let inSource = source.asked(with: .bearer(token))
            #expect(try await inSource.ask("HEAD", "blobs/\(blob.digest)").status == 401)
            let target = repository.asked(with: .bearer(token))
            try await target.expectPushed(blob, target.ask("POST", mountPath(blob.digest)))
            try await repository.expectDeletable("blobs/\(blob.digest)")
            try await source.expectDeletable("blobs/\(blob.digest)")
        }

        @Test(
            "a mount of what the named repository lacks is an upload, and its PUT brings the bytes",
            arguments: DigestAlgorithm.allCases)
        func mountOfMissing(algorithm: DigestAlgorithm) async throws {
            let source = Repository.unused("mount-source", in: system)
            _ = try await source.pushedBlob(sizeBytes: 10)
            let blob = TestBlob(sizeBytes: 512, algorithm: algorithm)
            let begun = try await repository.ask("POST", mountPath(blob.digest, from: source))
            try #require(begun.status == 202, "\(begun.text)")
            let upload = try #require(begun["location"])
            let answer = try await repository.ask(
                "PUT", upload + ConformanceUpload.query(blob.digest), body: blob.bytes)
            try await repository.expectPushed(blob, answer)
            try await repository.expectDeletable("blobs/\(blob.digest)")
        }
    }
}
