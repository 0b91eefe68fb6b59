// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// distribution-spec 1.1, "Pushing blobs", in all its forms, and what is refused.
    @Suite("Uploads", .everyProcessLives)
    struct Uploads {
        let system: System
        let repository: Repository
        static let absentUpload = "blobs/uploads/0f0f0f0f-0000-4000-8000-000000000000"

        init() throws {
            system = try System()
            repository = system.repository("uploads")
        }

        private func expectStored(_ blob: TestBlob, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let answer = try await repository.blobFromOrigin(blob.digest)
            #expect(answer.status == 200, sourceLocation: sourceLocation)
            #expect(answer.body == blob.bytes, sourceLocation: sourceLocation)
            #expect(answer["docker-content-digest"] == "\(blob.digest)", sourceLocation: sourceLocation)
        }

        private func expectAbsent(_ digest: Digest, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            #expect(try await repository.ask("HEAD", "blobs/\(digest)").status == 404, sourceLocation: sourceLocation)
        }

        private func offset(of upload: String) async throws -> Int {
            let answer = try await repository.ask("GET", upload)
            try #require(answer.status == 204)
            let last = try #require(answer["range"]?.split(separator: "-").last.flatMap { Int($0) })
            return last == 0 ? 0 : last + 1
        }

        // MARK: Forms

        @Test("POST, then one PUT", arguments: [0, 1, 65_536, 1_048_576, 3_145_731])
        func postAndPut(sizeBytes: Int) async throws {
            let blob = TestBlob(sizeBytes: sizeBytes)
            let upload = try await repository.startUpload()
            #expect(
                upload.hasPrefix("/v2/\(repository.name)/blobs/uploads/"), "relative, so that it holds behind a proxy")
            let put = try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)", body: blob.bytes)
            #expect(put.status == 201)
            #expect(put["docker-content-digest"] == "\(blob.digest)")
            #expect(put["location"] == "/v2/\(repository.name)/blobs/\(blob.digest)")
            try await expectStored(blob)
        }

        @Test("one POST with everything", arguments: DigestAlgorithm.allCases)
        func singlePost(algorithm: DigestAlgorithm) async throws {
            let blob = TestBlob(sizeBytes: 1_500_000, algorithm: algorithm)
            let answer = try await repository.ask("POST", "blobs/uploads/?digest=\(blob.digest)", body: blob.bytes)
            #expect(answer.status == 201)
            try await expectStored(blob)
        }

        @Test("a PATCH of unknown length in the chunked coding, then an empty PUT, as docker pushes")
        func streamedPatch() async throws {
            let blob = TestBlob(sizeBytes: 2_500_000)
            let upload = try await repository.startUpload()
            let connection = try HTTPConnection(to: system.origin)
            try await connection.sendHead(
                of: repository.request("PATCH", upload, headers: [("Transfer-Encoding", "chunked")]))
            for start in stride(from: 0, to: blob.sizeBytes, by: 70_000) {
                try await connection.sendChunk(Array(blob.bytes[start..<min(start + 70_000, blob.sizeBytes)]))
            }
            try await connection.sendChunk([])
            let patch = try await connection.readAnswer(to: "PATCH")
            #expect(patch.status == 202)
            #expect(patch["range"] == "0-\(blob.sizeBytes - 1)")
            let next = try #require(patch["location"])
            #expect(try await repository.ask("PUT", "\(next)?digest=\(blob.digest)").status == 201)
            try await expectStored(blob)
        }

        @Test("PATCHes with Content-Range, the last part with the PUT")
        func chunkedPatches() async throws {
            let blob = TestBlob(sizeBytes: 3_000_000)
            let upload = try await repository.startUpload()
            for range in [0..<1_000_001, 1_000_001..<1_000_002, 1_000_002..<2_500_000] {
                let answer = try await repository.ask(
                    "PATCH", upload, headers: [("Content-Range", "\(range.lowerBound)-\(range.upperBound - 1)")],
                    body: Array(blob.bytes[range]))
                #expect(answer.status == 202)
                #expect(answer["range"] == "0-\(range.upperBound - 1)")
                #expect(try await offset(of: upload) == range.upperBound)
            }
            let put = try await repository.ask(
                "PUT", "\(upload)?digest=\(blob.digest)", headers: [("Content-Range", "2500000-2999999")],
                body: Array(blob.bytes[2_500_000...]))
            #expect(put.status == 201)
            try await expectStored(blob)
        }

        @Test(
            "chunks out of order are 416, and the session goes on where it was",
            arguments: [
                "10-19", "4-13", "0-9", "9-5", "0-9223372036854775808", "6-15",
            ])
        func outOfOrder(range: String) async throws {
            let blob = TestBlob(sizeBytes: 15)
            let upload = try await repository.startUpload()
            _ = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", "0-4")], body: Array(blob.bytes[..<5]))
            let refused = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", range)], body: TestBlob.random(10))
            #expect(refused.status == 416)
            #expect(refused.codes == ["BLOB_UPLOAD_INVALID"])
            #expect(refused["range"] == "0-4")
            let put = try await repository.ask(
                "PUT", "\(upload)?digest=\(blob.digest)", headers: [("Content-Range", range)], body: TestBlob.random(10)
            )
            #expect(put.status == 416)
            #expect(try await offset(of: upload) == 5)
            let rest = try await repository.ask(
                "PUT", "\(upload)?digest=\(blob.digest)", headers: [("Content-Range", "5-14")],
                body: Array(blob.bytes[5...]))
            #expect(rest.status == 201)
            try await expectStored(blob)
        }

        @Test("a Content-Range outside the grammar is 400", arguments: ["a-b", "bytes 0-9/10", "-1-5", "0-", "0", ""])
        func badContentRange(range: String) async throws {
            let upload = try await repository.startUpload()
            let answer = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", range)], body: TestBlob.random(10))
            #expect(answer.status == 400)
            #expect(answer.codes == ["BLOB_UPLOAD_INVALID"])
        }

        @Test("a chunk whose range and length disagree is 400 SIZE_INVALID")
        func rangeAgainstLength() async throws {
            let upload = try await repository.startUpload()
            let answer = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", "0-9")], body: TestBlob.random(11))
            #expect(answer.status == 400)
            #expect(answer.codes == ["SIZE_INVALID"])
        }

        @Test("an empty PATCH is accepted")
        func emptyPatch() async throws {
            let upload = try await repository.startUpload()
            #expect(try await repository.ask("PATCH", upload).status == 202)
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(TestBlob(bytes: []).digest)").status == 201)
        }

        @Test("a client that goes away in a PATCH finds what came, and goes on from there")
        func resume() async throws {
            let blob = TestBlob(sizeBytes: 3_000_000)
            let upload = try await repository.startUpload()
            let connection = try HTTPConnection(to: system.origin)
            try await connection.sendHead(
                of: repository.request("PATCH", upload, headers: [("Content-Length", "\(blob.sizeBytes)")]))
            try await connection.send(Array(blob.bytes[..<1_700_000]))
            await connection.finishSending()
            let ended = try? await connection.readAnswer(to: "PATCH")
            #expect((ended?.status ?? 400) >= 400, "a body that was cut short is not accepted")
            try await waitUntil("the session keeps what came", within: .seconds(10)) {
                try await offset(of: upload) == 1_700_000
            }
            let rest = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", "1700000-2999999")], body: Array(blob.bytes[1_700_000...]))
            #expect(rest.status == 202)
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)").status == 201)
            try await expectStored(blob)
        }

        @Test("of two writers at once one is refused, and no byte of it is kept")
        func twoWriters() async throws {
            let blob = TestBlob(sizeBytes: 2_000_000)
            let upload = try await repository.startUpload()
            let first = try HTTPConnection(to: system.origin)
            try await first.sendHead(
                of: repository.request(
                    "PATCH", upload, headers: [("Content-Length", "\(blob.sizeBytes)"), ("Expect", "100-continue")]))
            #expect(try await first.readHead().status == 100)
            try await first.send(Array(blob.bytes[..<500_000]))
            let second = try await repository.ask("PATCH", upload, body: TestBlob.random(100))
            #expect(second.status == 416)
            try await first.send(Array(blob.bytes[500_000...]))
            #expect(try await first.readAnswer(to: "PATCH").status == 202)
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)").status == 201)
            try await expectStored(blob)
        }

        @Test("a mount from a repository that may be read links the blob without its bytes")
        func mount() async throws {
            let blob = try await system.repository("mount-source").pushedBlob(sizeBytes: 5000)
            let target = system.repository("mount-target")
            let answer = try await target.ask("POST", "blobs/uploads/?mount=\(blob.digest)&from=demo/mount-source")
            #expect(answer.status == 201)
            #expect(try await target.blobFromOrigin(blob.digest).body == blob.bytes)
        }

        @Test("a mount that names no source finds the blob in any repository of the organization")
        func mountWithoutSource() async throws {
            let blob = try await system.repository("mount-source").pushedBlob(sizeBytes: 5000)
            let target = system.repository("mount-target")
            let answer = try await target.ask("POST", "blobs/uploads/?mount=\(blob.digest)")
            #expect(answer.status == 201)
            #expect(answer["location"] == "/v2/\(target.name)/blobs/\(blob.digest)")
            #expect(try await target.blobFromOrigin(blob.digest).body == blob.bytes)
        }

        @Test(
            "a mount that cannot be done begins an upload",
            arguments: ["&from=demo/nowhere", "&from=absent/x", "&from=A//", ""])
        func mountImpossible(from: String) async throws {
            let answer = try await repository.ask(
                "POST", "blobs/uploads/?mount=\(TestBlob(sizeBytes: 9).digest)\(from)")
            #expect(answer.status == 202)
            #expect(answer["location"] != nil)
        }

        @Test("a sha512 digest that the POST did not announce is accepted")
        func unannouncedAlgorithm() async throws {
            let blob = TestBlob(sizeBytes: 1_500_000, algorithm: .sha512)
            let upload = try await repository.startUpload()
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)", body: blob.bytes).status == 201)
            try await expectStored(blob)
        }

        // MARK: Refusals

        @Test("a wrong digest is 400 DIGEST_INVALID; nothing is visible, and the session is over")
        func wrongDigest() async throws {
            let sent = TestBlob(sizeBytes: 100_000)
            let named = TestBlob(sizeBytes: 100_000)
            let upload = try await repository.startUpload()
            let put = try await repository.ask("PUT", "\(upload)?digest=\(named.digest)", body: sent.bytes)
            #expect(put.status == 400)
            #expect(put.codes == ["DIGEST_INVALID"])
            try await expectAbsent(named.digest)
            try await expectAbsent(sent.digest)
            #expect(try await repository.ask("GET", upload).status == 404)
            let post = try await repository.ask("POST", "blobs/uploads/?digest=\(named.digest)", body: sent.bytes)
            #expect(post.status == 400)
            #expect(post.codes == ["DIGEST_INVALID"])
            try await expectAbsent(named.digest)
        }

        @Test("digest parameters that are not exactly one digest are 400 DIGEST_INVALID")
        func digestParameters() async throws {
            let digest = TestBlob(sizeBytes: 1).digest
            for query in ["", "?digest=", "?digest=\(digest)&digest=\(digest)", "?digest=md5:00"] {
                let upload = try await repository.startUpload()
                let answer = try await repository.ask("PUT", upload + query, body: [1])
                #expect(answer.status == 400, "\(query)")
                #expect(answer.codes == ["DIGEST_INVALID"], "\(query)")
            }
            for query in ["?digest-algorithm=md5", "?mount=sha256:00&from=demo/x", "?digest=sha256:zz"] {
                let answer = try await repository.ask("POST", "blobs/uploads/\(query)")
                #expect(answer.status == 400, "\(query)")
                #expect(answer.codes == ["DIGEST_INVALID"], "\(query)")
            }
        }

        @Test(
            "an unknown upload is 404 BLOB_UPLOAD_UNKNOWN",
            arguments: [
                absentUpload, "blobs/uploads/not-a-uuid", "blobs/uploads/0F0F0F0F-0000-4000-8000-000000000000",
            ])
        func unknownUpload(path: String) async throws {
            _ = try await repository.startUpload()
            for method in ["GET", "PATCH", "DELETE", "PUT"] {
                let query = method == "PUT" ? "?digest=\(TestBlob(bytes: [1]).digest)" : ""
                let answer = try await repository.ask(method, path + query, body: method == "PATCH" ? [1] : [])
                #expect(answer.status == 404, "\(method)")
                #expect(answer.codes == ["BLOB_UPLOAD_UNKNOWN"], "\(method)")
            }
        }

        @Test("an upload belongs to its repository")
        func foreignUpload() async throws {
            let upload = try await repository.startUpload()
            let other = system.repository("uploads-other")
            _ = try await other.startUpload()
            let path = upload.replacing("/uploads/blobs/", with: "/uploads-other/blobs/")
            try #require(path != upload)
            #expect(try await other.ask("PATCH", path, body: [1]).status == 404)
            #expect(try await offset(of: upload) == 0)
        }

        @Test("a cancelled upload is gone")
        func cancel() async throws {
            let upload = try await repository.startUpload()
            _ = try await repository.ask("PATCH", upload, body: TestBlob.random(1000))
            #expect(try await repository.ask("DELETE", upload).status == 204)
            #expect(try await repository.ask("GET", upload).status == 404)
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(TestBlob(bytes: []).digest)").status == 404)
        }

        @Test("a PUT that is repeated after its commit succeeds again; with another digest it is unknown")
        func repeatedPut() async throws {
            let blob = TestBlob(sizeBytes: 1000)
            let upload = try await repository.startUpload()
            for _ in 1...2 {
                #expect(
                    try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)", body: blob.bytes).status == 201)
            }
            let other = try await repository.ask("PUT", "\(upload)?digest=\(TestBlob(sizeBytes: 1).digest)", body: [1])
            #expect(other.status == 404)
            #expect(other.codes == ["BLOB_UPLOAD_UNKNOWN"])
        }

        @Test("a single POST with a short body stores nothing")
        func shortPost() async throws {
            let blob = TestBlob(sizeBytes: 100_000)
            let connection = try HTTPConnection(to: system.origin)
            try await connection.sendHead(
                of: repository.request(
                    "POST", "blobs/uploads/?digest=\(blob.digest)", headers: [("Content-Length", "\(blob.sizeBytes)")]))
            try await connection.send(Array(blob.bytes.dropLast()))
            await connection.finishSending()
            let answer = try? await connection.readAnswer(to: "POST")
            #expect((answer?.status ?? 400) >= 400)
            try await expectAbsent(blob.digest)
        }

        @Test("a blob over the limit is 413 SIZE_INVALID before its body", arguments: ["PATCH", "PUT"])
        func tooLarge(method: String) async throws {
            let upload = try await repository.startUpload()
            let query = method == "PUT" ? "?digest=\(TestBlob(sizeBytes: 1).digest)" : ""
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(
                of: repository.request(method, upload + query, headers: [("Content-Length", "\(Int(1) << 60)")]))
            let answer = try await connection.readAnswer(to: method)
            #expect(answer.status == 413)
            #expect(answer.codes == ["SIZE_INVALID"])
        }
    }
}
