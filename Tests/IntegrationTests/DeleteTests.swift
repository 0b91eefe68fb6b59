// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// distribution-spec 1.1, "Content Management": what is deleted is gone with the answer.
    @Suite("Deleting", .everyProcessLives)
    struct Deleting {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            // Its own for each test: they look at whole lists.
            repository = system.repository("deleting-\(TestBlob(sizeBytes: 4).digest.hex.prefix(8))")
        }

        private func pushedImage(_ tags: String...) async throws -> (TestManifest, config: TestBlob, layer: TestBlob) {
            let config = try await repository.pushedBlob(sizeBytes: 20)
            let layer = try await repository.pushedBlob(sizeBytes: 100)
            let manifest = TestManifest.image(config: config, layers: [layer])
            for tag in tags { try #require(try await repository.push(manifest, as: tag).status == 201) }
            return (manifest, config, layer)
        }

        private func tags() async throws -> [String]? {
            try await repository.ask("GET", "tags/list").json?["tags"]?.arrayValue?.compactMap(\.stringValue)
        }

        @Test("a deleted tag is gone, its manifest and its other tags stay")
        func tag() async throws {
            let (manifest, _, _) = try await pushedImage("a", "b")
            #expect(try await repository.ask("DELETE", "manifests/a").status == 202)
            #expect(try await repository.ask("GET", "manifests/a").codes == ["MANIFEST_UNKNOWN"])
            #expect(try await repository.ask("GET", "manifests/b").body == manifest.bytes)
            #expect(try await repository.ask("GET", "manifests/\(manifest.digest)").status == 200)
            #expect(try await tags() == ["b"])
            #expect(try await repository.ask("DELETE", "manifests/a").codes == ["MANIFEST_UNKNOWN"])
            #expect(try await repository.push(manifest, as: "a").status == 201)
        }

        @Test("a deleted manifest takes its tags along; the list of tags is empty, not absent")
        func manifest() async throws {
            let (manifest, _, _) = try await pushedImage("a", "b")
            #expect(try await repository.ask("DELETE", "manifests/\(manifest.digest)").status == 202)
            for reference in ["a", "b", "\(manifest.digest)"] {
                let get = try await repository.ask("GET", "manifests/\(reference)")
                #expect(get.status == 404 && get.codes == ["MANIFEST_UNKNOWN"])
                #expect(try await repository.ask("HEAD", "manifests/\(reference)").status == 404)
            }
            #expect(try await tags() == [])
            let again = try await repository.ask("DELETE", "manifests/\(manifest.digest)")
            #expect(again.status == 404 && again.codes == ["MANIFEST_UNKNOWN"])
        }

        @Test("a manifest that an index names may go: an index may name what is not there")
        func child() async throws {
            let (manifest, _, _) = try await pushedImage("child")
            let index = TestManifest.index(of: [(manifest.digest, manifest.bytes.count)])
            try #require(try await repository.push(index, as: "index").status == 201)
            #expect(try await repository.ask("DELETE", "manifests/\(manifest.digest)").status == 202)
            #expect(try await repository.ask("GET", "manifests/index").body == index.bytes)
        }

        @Test("a blob is deleted here and stays elsewhere; once gone it can be pushed again")
        func blob() async throws {
            let elsewhere = system.repository("deleting-elsewhere")
            let blob = try await repository.pushedBlob(sizeBytes: 100_000)
            try await elsewhere.push(blob)
            _ = try await repository.link(to: blob)
            #expect(try await repository.ask("DELETE", "blobs/\(blob.digest)").status == 202)
            for method in ["GET", "HEAD", "DELETE"] {
                #expect(try await repository.ask(method, "blobs/\(blob.digest)").status == 404, "\(method)")
            }
            #expect(try await repository.blobFromOrigin(blob.digest).codes == ["BLOB_UNKNOWN"])
            #expect(try await elsewhere.link(to: blob).get().body == blob.bytes)
            try await repository.push(blob)
            #expect(try await repository.link(to: blob).get().body == blob.bytes)
        }

        @Test("a blob that a manifest uses stays: 405, until the manifest is gone")
        func blobInUse() async throws {
            let (manifest, config, layer) = try await pushedImage("a")
            for blob in [config, layer] {
                let refused = try await repository.ask("DELETE", "blobs/\(blob.digest)")
                #expect(refused.status == 405 && refused.codes == ["UNSUPPORTED"])
                #expect(refused["allow"] == "GET, HEAD")
                #expect(try await repository.ask("HEAD", "blobs/\(blob.digest)").status == 200)
            }
            #expect(try await repository.ask("DELETE", "manifests/\(manifest.digest)").status == 202)
            for blob in [config, layer] {
                #expect(try await repository.ask("DELETE", "blobs/\(blob.digest)").status == 202)
            }
        }

        @Test(
            "what cannot be a digest is 400 DIGEST_INVALID, and what cannot be a tag is unknown",
            arguments: [
                ("blobs/sha256:abc", 400, "DIGEST_INVALID"), ("manifests/sha256:abc", 400, "DIGEST_INVALID"),
                ("manifests/.x", 404, "MANIFEST_UNKNOWN"),
            ])
        func bad(path: String, status: Int, code: String) async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let answer = try await repository.ask("DELETE", path)
            #expect(answer.status == status && answer.codes == [code])
        }

        @Test("nothing is deleted in a repository that is not there, nor without a credential")
        func nowhere() async throws {
            let digest = TestBlob(sizeBytes: 3).digest
            for path in ["manifests/x", "manifests/\(digest)", "blobs/\(digest)"] {
                #expect(try await repository.ask("DELETE", path).codes == ["NAME_UNKNOWN"])
                let anonymous = try await repository.asked(with: .none).ask("DELETE", path)
                #expect(anonymous.status == 401 && anonymous.codes == ["UNAUTHORIZED"])
            }
        }
    }
}
