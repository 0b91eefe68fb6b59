// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration.OneSystem {
    /// When the origin takes a body, and how it refuses one (RFC 9110 §10.1.1; `Docs/architecture.md`).
    @Suite("Admission of bodies", .everyProcessLives)
    struct BodyAdmission {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("admission")
        }

        private func expecting(_ lengthBytes: Int) -> [(name: String, value: String)] {
            [("Expect", "100-continue"), ("Content-Length", "\(lengthBytes)")]
        }

        @Test(
            "100 Continue comes once the upload is admitted, before any byte of the body",
            arguments: ["PATCH", "PUT", "POST"])
        func continues(method: String) async throws {
            let blob = TestBlob(sizeBytes: 300_000)
            let path = method == "POST" ? "blobs/uploads/" : try await repository.startUpload()
            let query = method == "PATCH" ? "" : "?digest=\(blob.digest)"
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(
                of: repository.request(method, path + query, headers: expecting(blob.sizeBytes)))
            #expect(try await connection.readHead().status == 100)
            try await connection.send(blob.bytes)
            // Exactly one interim answer: the next head is the final one.
            let head = try await connection.readHead()
            #expect(head.status == (method == "PATCH" ? 202 : 201))
        }

        @Test("a manifest's body is asked for too")
        func manifestContinues() async throws {
            let config = try await repository.pushedBlob(sizeBytes: 10)
            let manifest = TestManifest.image(config: config, layers: [])
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(
                of: repository.request(
                    "PUT", "manifests/continue",
                    headers: expecting(manifest.bytes.count) + [("Content-Type", manifest.mediaType)]))
            #expect(try await connection.readHead().status == 100)
            try await connection.send(manifest.bytes)
            #expect(try await connection.readAnswer(to: "PUT").status == 201)
        }

        static let refusals: [Row<@Sendable (Repository) async throws -> (request: HTTPRequest, status: Int)>] = [
            Row("no credential") { repository in
                (repository.asked(with: .none).request("PUT", "manifests/x"), 401)
            },
            Row("wrong token") { repository in
                (
                    repository.asked(with: .basic("x-token:dpo_no")).request(
                        "POST", "blobs/uploads/?digest=\(anyDigest)"), 401
                )
            },
            Row("foreign organization") { repository in
                (repository.request("POST", "/v2/foreign/x/blobs/uploads/?digest=\(anyDigest)"), 404)
            },
            Row("bad name") { repository in
                (repository.request("POST", "/v2/demo/A//b/blobs/uploads/?digest=\(anyDigest)"), 400)
            },
            Row("unknown upload") { repository in
                (repository.request("PATCH", Uploads.absentUpload), 404)
            },
            Row("no digest") { repository in
                (repository.request("PUT", try await repository.startUpload()), 400)
            },
            Row("method not allowed") { repository in
                (repository.request("POST", "manifests/x"), 405)
            },
            Row("chunk out of order") { repository in
                (
                    repository.request(
                        "PATCH", try await repository.startUpload(), headers: [("Content-Range", "5-1073741828")]), 416
                )
            },
            Row("manifest over the limit") { repository in
                (repository.request("PUT", "manifests/x"), 413)
            },
        ]

        private static let anyDigest = "sha256:" + String(repeating: "0", count: 64)
        private static let gibibyte = 1 << 30

        @Test("a refused upload gets its final status without 100 Continue", arguments: refusals)
        func refusedWithoutContinue(
            row: Row<@Sendable (Repository) async throws -> (request: HTTPRequest, status: Int)>
        ) async throws {
            var (request, status) = try await row.value(repository)
            request.headers += expecting(Self.gibibyte)
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(of: request)
            let head = try await connection.readHead()
            #expect(head.status == status)
            let answer = try await connection.readBody(of: head)
            #expect(answer.ending == .complete)
            // The client may keep its body to itself: the connection ends in order.
            #expect(try await connection.readEnd() == .fin)
        }

        @Test(
            "a refused body of 1 GiB that comes all the same costs little of it, and its answer can be read",
            arguments: refusals)
        func earlyRefusal(
            row: Row<@Sendable (Repository) async throws -> (request: HTTPRequest, status: Int)>
        ) async throws {
            var (request, status) = try await row.value(repository)
            request.headers.append(("Content-Length", "\(Self.gibibyte)"))
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(20))
            try await connection.sendHead(of: request)
            // As clients do: send, and look for an answer meanwhile.
            var sentBytes = 0
            let part = [UInt8](repeating: 0, count: 64 * .kibibyte)
            while await !connection.hasInput, sentBytes < Self.gibibyte {
                sentBytes += try await connection.pour(part, totalBytes: part.count)
            }
            #expect(sentBytes < 64 * .mebibyte, "what socket buffers hold, and no more")
            let answer = try await connection.readAnswer(to: request.method)
            #expect(answer.status == status)
            #expect(answer.ending == .complete)
        }

        /// The limit of manifests is no matter of small bodies.
        private static let smallRefusals = refusals.filter { $0.name != "manifest over the limit" }

        @Test("a refusal waits for the rest of a small body, and the connection goes on", arguments: smallRefusals)
        func smallRefusal(
            row: Row<@Sendable (Repository) async throws -> (request: HTTPRequest, status: Int)>
        ) async throws {
            var (request, status) = try await row.value(repository)
            let body = [UInt8](repeating: 0x20, count: 1000)
            request.headers.append(("Content-Length", "\(body.count)"))
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(of: request)
            try await connection.send(Array(body.prefix(500)))
            // Meanwhile another request comes and goes: this one's answer is decided, but for a failed log-in.
            #expect(try await repository.ask("GET", "/v2/").status == 200)
            #expect(await !connection.hasInput)
            try await connection.send(Array(body.suffix(500)))
            let answer = try await connection.readAnswer(to: request.method)
            #expect(answer.status == status)
            #expect(answer["connection"] == nil)
            try await connection.sendHead(of: repository.request("GET", "/v2/"))
            #expect(try await connection.readAnswer(to: "GET").status == 200)
        }

        @Test("a refusal does not wait for ever for a small body")
        func lateBody() async throws {
            let request = repository.asked(with: .none).request(
                "PUT", "manifests/x", headers: [("Content-Length", "1000")])
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(10))
            try await connection.sendHead(of: request)
            let answer = try await connection.readAnswer(to: "PUT")
            #expect(answer.status == 401)
            #expect(answer["connection"] == "close")
            #expect(try await connection.readEnd() == .fin)
        }

        @Test("a client that never stops to send is cut off in seconds, after few bytes")
        func deafClient() async throws {
            let request = repository.asked(with: .none).request(
                "PUT", "manifests/x", headers: [("Content-Length", "\(Self.gibibyte)")])
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(20))
            try await connection.sendHead(of: request)
            let start = ContinuousClock.now
            let sentBytes = try await connection.pour(
                [UInt8](repeating: 0, count: 64 * .kibibyte), totalBytes: Self.gibibyte)
            #expect(sentBytes < 64 * .mebibyte)
            #expect(ContinuousClock.now - start < .seconds(8))
        }

        @Test("a manifest over the limit is 413, declared or streamed", arguments: [true, false])
        func largeManifest(isDeclared: Bool) async throws {
            let limitBytes = 4 * Int.mebibyte
            let connection = try HTTPConnection(to: system.origin, limit: .seconds(20))
            if isDeclared {
                try await connection.sendHead(
                    of: repository.request("PUT", "manifests/x", headers: [("Content-Length", "\(limitBytes + 1)")]))
            } else {
                try await connection.sendHead(
                    of: repository.request("PUT", "manifests/x", headers: [("Transfer-Encoding", "chunked")]))
                var sentBytes = 0
                while await !connection.hasInput, sentBytes <= limitBytes {
                    do {
                        try await connection.sendChunk([UInt8](repeating: 0x20, count: 64 * .kibibyte))
                    } catch DeadlineSocket.Failure.closed {
                        break
                    }
                    sentBytes += 64 * .kibibyte
                }
            }
            let answer = try await connection.readAnswer(to: "PUT")
            #expect(answer.status == 413)
            #expect(answer.codes == ["SIZE_INVALID"])
        }
    }
}
