// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration {
    /// Two origins on one database and one blob directory: what one of them acknowledges, the other soon knows.
    @Suite("Two origins", .stack(edges: 1, origins: 2))
    struct TwoOrigins {
        /// Longer than what is promised: the machine may be busy with other things.
        private static let limit: Duration = .seconds(2) + .seconds(3)

        let system: System
        private let endpoints: [Endpoint]

        init() throws {
            system = try System()
            endpoints = try system.description.origins.map { try #require(Endpoint(url: $0.url)) }
        }

        private func ask(
            origin: Int, _ repository: Repository, _ method: String, _ path: String,
            headers: [(name: String, value: String)] = [], body: [UInt8] = []
        ) async throws -> Answer {
            try await IntegrationTests.ask(
                endpoints[origin], repository.request(method, path, headers: headers, body: body))
        }

        private func pushedImage(_ repository: Repository, as reference: String) async throws -> TestManifest {
            let manifest = try await TestManifest.image(
                config: repository.pushedBlob(sizeBytes: 100), layers: [repository.pushedBlob(sizeBytes: 70_000)])
            try #require(try await repository.push(manifest, as: reference).status == 201)
            return manifest
        }

        @Test("a tag that one origin moves, sets or takes is so at once for the other")
        func tags() async throws {
            let repository = system.repository("two-tags")
            let manifests = [
                try await pushedImage(repository, as: "moving"), try await pushedImage(repository, as: "other"),
            ]
            for round in 0..<40 {
                let manifest = manifests[round % 2]
                let (writer, reader) = (round % 3 == 0 ? (1, 0) : (0, 1))
                let put = try await ask(
                    origin: writer, repository, "PUT", "manifests/moving",
                    headers: [("Content-Type", manifest.mediaType)], body: manifest.bytes)
                #expect(put.status == 201)
                for origin in [reader, writer] {
                    let get = try await ask(origin: origin, repository, "GET", "manifests/moving")
                    #expect(get["docker-content-digest"] == "\(manifest.digest)", "round \(round), origin \(origin)")
                }
            }
            #expect(try await ask(origin: 0, repository, "DELETE", "manifests/moving").status == 202)
            #expect(try await ask(origin: 1, repository, "GET", "manifests/moving").status == 404)
        }

        @Test("a deleted manifest, and its tags, are gone at once here and in two seconds there")
        func deletedManifest() async throws {
            let repository = system.repository("two-manifests")
            let manifest = try await pushedImage(repository, as: "v1")
            let path = "manifests/\(manifest.digest)"
            for origin in 0...1 { #expect(try await ask(origin: origin, repository, "GET", path).status == 200) }
            #expect(try await ask(origin: 0, repository, "DELETE", path).status == 202)
            #expect(try await ask(origin: 0, repository, "GET", path).status == 404)
            for origin in 0...1 {
                #expect(try await ask(origin: origin, repository, "GET", "manifests/v1").status == 404)
            }
            try await waitUntil("the other origin has forgotten the manifest", within: Self.limit) {
                try await ask(origin: 1, repository, "GET", path).status == 404
            }
        }

        @Test("a deleted blob is gone at once here and in two seconds there, while another repository keeps it")
        func deletedBlob() async throws {
            let (repository, keeper) = (system.repository("two-blobs"), system.repository("two-blobs-keeper"))
            let blob = try await repository.pushedBlob(sizeBytes: 70_000)
            try await keeper.push(blob)
            let path = "blobs/\(blob.digest)"
            for origin in 0...1 { #expect(try await ask(origin: origin, repository, "HEAD", path).status == 200) }
            #expect(try await ask(origin: 0, repository, "DELETE", path).status == 202)
            #expect(try await ask(origin: 0, repository, "HEAD", path).status == 404)
            try await waitUntil("the other origin has forgotten the blob", within: Self.limit) {
                try await ask(origin: 1, repository, "HEAD", path).status == 404
            }
            for origin in 0...1 { #expect(try await ask(origin: origin, keeper, "HEAD", path).status == 200) }
        }

        @Test("an upload begun at one origin goes on at the other; who comes while it is written to is refused")
        func upload() async throws {
            let repository = system.repository("two-uploads")
            let blob = TestBlob(sizeBytes: 3 * .mebibyte)
            let upload = try await repository.startUpload()
            let half = 2 * Int.mebibyte
            #expect(
                try await ask(origin: 0, repository, "PATCH", upload, body: Array(blob.bytes[..<half])).status == 202)

            let writer = try HTTPConnection(to: endpoints[0])
            let rest = repository.request(
                "PATCH", upload,
                headers: [("Content-Length", "\(blob.sizeBytes - half)"), ("Expect", "100-continue")])
            try await writer.sendHead(of: rest)
            #expect(try await writer.readHead().status == 100)
            let second = try await ask(origin: 1, repository, "PATCH", upload, body: Array(blob.bytes[half...]))
            #expect(second.status == 416)
            #expect(second["range"] == "0-\(half - 1)")
            try await writer.send(Array(blob.bytes[half...]))
            #expect(try await writer.readAnswer(to: "PATCH").status == 202)

            let put = try await ask(origin: 1, repository, "PUT", "\(upload)?digest=\(blob.digest)")
            #expect(put.status == 201)
            #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
        }
    }
}
