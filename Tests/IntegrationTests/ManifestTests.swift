// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// distribution-spec 1.1, "Pushing manifests", "Pulling manifests" and "Listing tags".
    @Suite("Manifests and tags", .everyProcessLives)
    struct Manifests {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("manifests")
        }

        private func pushedImage() async throws -> TestManifest {
            try await TestManifest.image(
                config: repository.pushedBlob(sizeBytes: 200), layers: [repository.pushedBlob(sizeBytes: 70_000)])
        }

        // MARK: Push and pull

        @Test("a manifest is pulled by tag and by digest with every byte as it was pushed")
        func byteExact() async throws {
            let manifest = try await pushedImage()
            let put = try await repository.push(manifest, as: "v1")
            #expect(put.status == 201)
            #expect(put["docker-content-digest"] == "\(manifest.digest)")
            #expect(put["location"] == "/v2/\(repository.name)/manifests/\(manifest.digest)")
            for reference in ["v1", "\(manifest.digest)"] {
                let get = try await repository.ask(
                    "GET", "manifests/\(reference)", headers: [("Accept", "application/vnd.oci.image.index.v1+json")])
                #expect(get.status == 200)
                #expect(get.body == manifest.bytes)
                #expect(get["content-type"] == manifest.mediaType)
                #expect(get["docker-content-digest"] == "\(manifest.digest)")
                #expect(get["etag"] == "\"\(manifest.digest)\"")
                let head = try await repository.ask("HEAD", "manifests/\(reference)")
                #expect(head.status == 200)
                #expect(head["content-length"] == "\(manifest.bytes.count)")
                #expect(head["docker-content-digest"] == "\(manifest.digest)")
                let held = try await repository.ask(
                    "GET", "manifests/\(reference)", headers: [("If-None-Match", "\"\(manifest.digest)\"")])
                #expect(held.status == 304)
            }
        }

        @Test("a tag moves at once, and the old manifest stays under its digest")
        func movedTag() async throws {
            let old = try await pushedImage()
            let new = try await pushedImage()
            for manifest in [old, new, old, new] {
                #expect(try await repository.push(manifest, as: "moving").status == 201)
                #expect(try await repository.ask("GET", "manifests/moving").body == manifest.bytes)
            }
            #expect(try await repository.ask("GET", "manifests/\(old.digest)").body == old.bytes)
        }

        @Test("a manifest is pushed by its own digest, and under sha512 too", arguments: DigestAlgorithm.allCases)
        func byDigest(algorithm: DigestAlgorithm) async throws {
            let manifest = try await pushedImage()
            var hash = StreamingHash(algorithm)
            hash.update(manifest.bytes)
            let digest = hash.finalized()
            #expect(try await repository.push(manifest, as: "\(digest)").status == 201)
            let get = try await repository.ask("GET", "manifests/\(digest)")
            #expect(get.body == manifest.bytes)
            #expect(get["docker-content-digest"] == "\(digest)")
        }

        @Test("a manifest under a digest that is not its own is 400 DIGEST_INVALID")
        func wrongDigest() async throws {
            let manifest = try await pushedImage()
            let answer = try await repository.push(manifest, as: "\(TestBlob(sizeBytes: 1).digest)")
            #expect(answer.status == 400)
            #expect(answer.codes == ["DIGEST_INVALID"])
            #expect(try await repository.ask("GET", "manifests/\(manifest.digest)").status == 404)
        }

        @Test("an index of pushed manifests is kept byte for byte")
        func index() async throws {
            let manifest = try await pushedImage()
            try #require(try await repository.push(manifest, as: "\(manifest.digest)").status == 201)
            let index = TestManifest.index(of: [(manifest.digest, manifest.bytes.count)])
            #expect(try await repository.push(index, as: "index").status == 201)
            let get = try await repository.ask("GET", "manifests/index")
            #expect(get.body == index.bytes)
            #expect(get["content-type"] == MediaType.ociIndex)
        }

        // MARK: Missing content

        @Test("a manifest whose blobs are missing is 404 and names each of them; nothing is stored")
        func missingBlobs() async throws {
            let present = try await repository.pushedBlob(sizeBytes: 100)
            let elsewhere = try await system.repository("manifests-elsewhere").pushedBlob(sizeBytes: 100)
            let absent = [TestBlob(sizeBytes: 100), TestBlob(sizeBytes: 100)]
            let manifest = TestManifest.image(config: absent[0], layers: [present, absent[1], elsewhere])
            let answer = try await repository.push(manifest, as: "missing")
            #expect(answer.status == 404)
            #expect(Set(answer.codes) == ["MANIFEST_BLOB_UNKNOWN"])
            #expect(Set(answer.namedDigests) == Set([absent[0], absent[1], elsewhere].map { "\($0.digest)" }))
            #expect(try await repository.ask("GET", "manifests/missing").status == 404)
            #expect(try await repository.ask("GET", "manifests/\(manifest.digest)").status == 404)
            for blob in absent + [elsewhere] { try await repository.push(blob) }
            #expect(try await repository.push(manifest, as: "missing").status == 201)
        }

        @Test("an index may name manifests that were not pushed; a warning says which")
        func sparseIndex() async throws {
            let absent = TestBlob(sizeBytes: 7).digest
            let index = TestManifest.index(of: [(absent, 7)])
            let put = try await repository.push(index, as: "sparse")
            #expect(put.status == 201)
            #expect(put["warning"] == "299 - \"not in this repository yet: \(absent)\"")
            #expect(try await repository.ask("GET", "manifests/sparse").body == index.bytes)
        }

        // MARK: Several tags at once (main's addition to distribution-spec 1.1)

        @Test(
            "a push by digest sets all tags of its query, and the answer names them",
            arguments: DigestAlgorithm.allCases)
        func severalTags(algorithm: DigestAlgorithm) async throws {
            let manifest = try await pushedImage()
            var hash = StreamingHash(algorithm)
            hash.update(manifest.bytes)
            let digest = hash.finalized()
            let names = (1...10).map { "\(algorithm.rawValue)-\($0)" }
            let query = (names + [names[0]]).map { "tag=\($0)" }.joined(separator: "&")
            let put = try await repository.push(manifest, as: "\(digest)?\(query)")
            #expect(put.status == 201)
            #expect(put["oci-tag"] == names.joined(separator: ", "))
            #expect(put["docker-content-digest"] == "\(digest)")
            for name in names {
                let get = try await repository.ask("GET", "manifests/\(name)")
                #expect(get.body == manifest.bytes)
                #expect(get["docker-content-digest"] == "\(digest)")
            }
            #expect(try await repository.ask("DELETE", "manifests/\(names[3])").status == 202)
            #expect(try await repository.ask("HEAD", "manifests/\(names[3])").status == 404)
            #expect(try await repository.ask("HEAD", "manifests/\(names[4])").status == 200)
        }

        @Test("a push by tag sets the tags of its query besides")
        func tagWithTags() async throws {
            let manifest = try await pushedImage()
            let put = try await repository.push(manifest, as: "besides?tag=besides-2")
            #expect(put["oci-tag"] == "besides, besides-2")
            #expect(try await repository.ask("GET", "manifests/besides-2").body == manifest.bytes)
        }

        @Test("M55: of three tags one is none: 400, and nothing is stored")
        func oneBadTag() async throws {
            let manifest = try await pushedImage()
            let put = try await repository.push(manifest, as: "\(manifest.digest)?tag=m55-a&tag=.m55-b&tag=m55-c")
            #expect(put.status == 400)
            #expect(put.codes == ["MANIFEST_INVALID"])
            for reference in ["m55-a", "m55-c", "\(manifest.digest)"] {
                #expect(try await repository.ask("HEAD", "manifests/\(reference)").status == 404)
            }
        }

        @Test("M56: more tags than one push may set: 414, and nothing is stored", arguments: [101, 1000])
        func tooManyTags(count: Int) async throws {
            let manifest = try await pushedImage()
            let query = (1...count).map { "tag=m56-\($0)" }.joined(separator: "&")
            let put = try await repository.push(manifest, as: "\(manifest.digest)?\(query)")
            #expect(put.status == 414)
            #expect(try await repository.ask("HEAD", "manifests/m56-1").status == 404)
            #expect(try await repository.ask("HEAD", "manifests/\(manifest.digest)").status == 404)
        }

        @Test("a subject that does not exist yet is accepted, and the answer says that it was understood")
        func missingSubject() async throws {
            let config = try await repository.pushedBlob(sizeBytes: 10)
            let subject = TestBlob(sizeBytes: 10)
            let manifest = TestManifest(
                Self.manifest(
                    config: TestManifest.descriptor(config.digest, sizeBytes: 10, mediaType: TestManifest.configType),
                    more:
                        #","subject":\#(TestManifest.descriptor(subject.digest, sizeBytes: 10, mediaType: MediaType.ociManifest))"#
                ))
            let answer = try await repository.push(manifest, as: "\(manifest.digest)")
            #expect(answer.status == 201)
        }

        // MARK: Bad manifests

        private static func manifest(
            config: String, layers: String = "[]", version: String = "2", more: String = ""
        ) -> String {
            #"{"schemaVersion":\#(version),"mediaType":"\#(MediaType.ociManifest)","config":\#(config),"#
                + #""layers":\#(layers)\#(more)}"#
        }

        private static let hex = String(repeating: "a", count: 64)

        private static func descriptor(digest: String = "sha256:\(hex)", size: String = "10") -> String {
            #"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"\#(digest)","size":\#(size)}"#
        }

        static let invalid: [Row<[UInt8]>] = [
            Row("empty", []),
            Row("null", Array("null".utf8)),
            Row("array", Array("[]".utf8)),
            Row("string", Array("\"x\"".utf8)),
            Row("cut short", Array(manifest(config: descriptor()).utf8.dropLast(5))),
            Row("bytes after the end", Array((manifest(config: descriptor()) + "x").utf8)),
            Row("byte order mark", [0xEF, 0xBB, 0xBF] + Array(manifest(config: descriptor()).utf8)),
            Row("UTF-16", manifest(config: descriptor()).utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }),
            Row(
                "invalid UTF-8",
                Array(manifest(config: descriptor(), more: ",\"x\":\"").utf8) + [0xFF] + Array("\"}".utf8)),
            Row("lone surrogate", Array(manifest(config: descriptor(), more: #","x":"\ud800""#).utf8)),
            Row(
                "65 levels deep",
                Array(
                    manifest(
                        config: descriptor(),
                        more: ",\"x\":" + String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
                    ).utf8)),
            Row("100,000 levels deep", Array(String(repeating: "[", count: 100_000).utf8)),
            Row(
                "mediaType twice",
                Array(manifest(config: descriptor(), more: ",\"mediaType\":\"\(MediaType.ociManifest)\"").utf8)),
            Row("layers twice", Array(manifest(config: descriptor(), more: ",\"layers\":[]").utf8)),
            Row("Layers beside layers", Array(manifest(config: descriptor(), more: ",\"Layers\":[]").utf8)),
            Row("layers and manifests", Array(manifest(config: descriptor(), more: ",\"manifests\":[]").utf8)),
            Row("no schemaVersion", Array(#"{"config":\#(descriptor()),"layers":[]}"#.utf8)),
            Row("schemaVersion 1", Array(manifest(config: descriptor(), version: "1").utf8)),
            Row("schemaVersion 3", Array(manifest(config: descriptor(), version: "3").utf8)),
            Row("schemaVersion as text", Array(manifest(config: descriptor(), version: "\"2\"").utf8)),
            Row("negative size", Array(manifest(config: descriptor(size: "-1")).utf8)),
            Row("fractional size", Array(manifest(config: descriptor(size: "1.5")).utf8)),
            Row("size with exponent", Array(manifest(config: descriptor(size: "1e3")).utf8)),
            Row("size of 2^63", Array(manifest(config: descriptor(size: "9223372036854775808")).utf8)),
            Row("size as text", Array(manifest(config: descriptor(size: "\"12\"")).utf8)),
            Row("bad config digest", Array(manifest(config: descriptor(digest: "sha256:zz")).utf8)),
            Row("bad layer digest", Array(manifest(config: descriptor(), layers: "[\(descriptor(digest: "x"))]").utf8)),
            Row(
                "bad subject digest",
                Array(manifest(config: descriptor(), more: ",\"subject\":\(descriptor(digest: "md5:00"))").utf8)),
            Row(
                "annotation that is a number",
                Array(manifest(config: descriptor(), more: ",\"annotations\":{\"a\":1}").utf8)),
            Row("layers that are no list", Array(manifest(config: descriptor(), layers: "{}").utf8)),
            Row("config that is no descriptor", Array(manifest(config: "\"x\"").utf8)),
        ]

        @Test("a body that is no valid manifest is 400 MANIFEST_INVALID", arguments: invalid)
        func invalidManifest(row: Row<[UInt8]>) async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let answer = try await repository.ask(
                "PUT", "manifests/invalid", headers: [("Content-Type", MediaType.ociManifest)], body: row.value)
            #expect(answer.status == 400)
            #expect(answer.codes == ["MANIFEST_INVALID"])
            #expect(try await repository.ask("GET", "manifests/invalid").status == 404)
        }

        @Test("content that a descriptor brings along has to be that of its digest")
        func data() async throws {
            let config = TestBlob(bytes: Array("{}".utf8))
            try await repository.push(config)
            for (data, status) in [("e30=", 201), ("W10=", 400), ("e30", 400), ("e30gIA==", 400)] {
                let descriptor = TestManifest.descriptor(
                    config.digest, sizeBytes: 2, mediaType: TestManifest.configType)
                let manifest = TestManifest(Self.manifest(config: descriptor.dropLast() + ",\"data\":\"\(data)\"}"))
                let answer = try await repository.push(manifest, as: "\(manifest.digest)")
                #expect(answer.status == status, "\(data)")
                #expect(answer.codes == (status == 201 ? [] : ["MANIFEST_INVALID"]), "\(data)")
            }
        }

        @Test(
            "a Content-Type that is not the manifest's is 400",
            arguments: ["text/html", MediaType.ociIndex, "application/json"])
        func wrongContentType(type: String) async throws {
            var manifest = try await pushedImage()
            manifest.mediaType = type
            let answer = try await repository.push(manifest, as: "wrong-type")
            #expect(answer.status == 400)
            #expect(answer.codes == ["MANIFEST_INVALID"])
        }

        @Test("annotations of almost 4 MiB are accepted")
        func largeManifest() async throws {
            let config = try await repository.pushedBlob(sizeBytes: 10)
            let text = String(repeating: "a", count: 3_900_000)
            let manifest = TestManifest(
                Self.manifest(
                    config: TestManifest.descriptor(config.digest, sizeBytes: 10, mediaType: TestManifest.configType),
                    more: ",\"annotations\":{\"a\":\"\(text)\"}"))
            #expect(try await repository.push(manifest, as: "large").status == 201)
            #expect(try await repository.ask("GET", "manifests/large").digest == manifest.digest)
        }

        // MARK: Reads of what is not there

        @Test("an unknown manifest is 404 MANIFEST_UNKNOWN, an unknown repository NAME_UNKNOWN")
        func unknown() async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            for reference in ["unknown", "\(TestBlob(sizeBytes: 3).digest)"] {
                let answer = try await repository.ask("GET", "manifests/\(reference)")
                #expect(answer.status == 404)
                #expect(answer.codes == ["MANIFEST_UNKNOWN"])
            }
            let nowhere = try await system.repository("never-pushed").ask("GET", "tags/list")
            #expect(nowhere.status == 404)
            #expect(nowhere.codes == ["NAME_UNKNOWN"])
        }

        @Test("a digest that only another repository has is unknown here")
        func otherRepository() async throws {
            let other = system.repository("manifests-other")
            let manifest = try await TestManifest.image(config: other.pushedBlob(sizeBytes: 10), layers: [])
            try #require(try await other.push(manifest, as: "latest").status == 201)
            _ = try await repository.pushedBlob(sizeBytes: 10)
            #expect(try await repository.ask("GET", "manifests/\(manifest.digest)").status == 404)
        }

        // MARK: Tags

        /// Follows `Link` to the end.
        private func pages(of repository: Repository, count: String) async throws -> [[String]] {
            var pages: [[String]] = []
            var next: String? = "tags/list?n=\(count)"
            while let path = next, pages.count < 100 {
                let answer = try await repository.ask("GET", path)
                try #require(answer.status == 200)
                #expect(answer.json?["name"]?.stringValue == repository.name)
                pages.append(answer.json?["tags"]?.arrayValue?.compactMap(\.stringValue) ?? [])
                next = answer["link"].map { link in
                    #expect(link.hasSuffix("; rel=\"next\""))
                    return String(link.dropFirst().prefix { $0 != ">" })
                }
            }
            return pages
        }

        @Test("tags are listed in the order of their bytes, page by page, each once")
        func tagPages() async throws {
            let repository = system.repository("tags-\(TestBlob(sizeBytes: 4).digest.hex.prefix(8))")
            let manifest = try await TestManifest.image(config: repository.pushedBlob(sizeBytes: 10), layers: [])
            let tags = ["0.1.2", "0.1.20", "0.1.3", "A", "B", "_x", "a", "b.c", "latest"]
            for tag in tags.shuffled() { try #require(try await repository.push(manifest, as: tag).status == 201) }
            #expect(try await pages(of: repository, count: "1") == tags.map { [$0] })
            #expect(try await pages(of: repository, count: "4") == [Array(tags[..<4]), Array(tags[4..<8]), ["latest"]])
            #expect(try await pages(of: repository, count: "9") == [tags])
            #expect(try await pages(of: repository, count: "18446744073709551616") == [tags])
            #expect(try await pages(of: repository, count: "0") == [[]])
            let after = try await repository.ask("GET", "tags/list?last=0.1.25&n=2")
            #expect(after.json?["tags"]?.arrayValue?.compactMap(\.stringValue) == ["0.1.3", "A"])
        }

        @Test(
            "a page that cannot be is 400",
            arguments: ["n=-1", "n=abc", "n=1.5", "n=", "n=1&n=2", "last=%00", "last=a&last=b"])
        func badPage(query: String) async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let answer = try await repository.ask("GET", "tags/list?\(query)")
            #expect(answer.status == 400)
            #expect(answer.codes == ["UNSUPPORTED"])
        }
    }
}
