// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration {
    /// What the public conformance suite of the distribution-spec asks for, as tests of our own. Blobs come from the
    /// edge, whatever their size, and manifests may name what is not there.
    @Suite(
        "Conformance",
        .stack(edges: 1, environment: ["DEPOT_MISSING_REFERENCES": "all", "DEPOT_DIRECT_SERVE_BYTES_MAX": "0"]))
    enum Conformance {}
}

extension Integration.Conformance {
    /// distribution-spec 1.1 and image-spec 1.1: each kind of content goes through push, list, pull and delete.
    @Suite("Conformance: data", .everyProcessLives)
    struct DataSets {
        let system: System
        /// Its own for each data set: whole lists are compared.
        let repository: Repository

        init() throws {
            system = try System()
            repository = .unused("data", in: system)
        }

        private static let accepted = [("Accept", MediaType.ociIndex), ("Accept", MediaType.ociManifest)]

        @Test(
            "what is pushed is listed, pulled byte for byte, found by its subject, and deleted",
            arguments: ConformanceDataSet.allCases)
        func cycle(set: ConformanceDataSet) async throws {
            let data = set.assembled()
            try await push(data)
            try await expectTags(of: data)
            for manifest in data.manifests { try await expectPulled(manifest) }
            for blob in data.blobs { try await repository.expectBlob(blob, at: "blobs/\(blob.digest)") }
            for subject in data.subjects { try await expectReferrers(of: subject, in: data) }
            try await delete(data)
        }

        @Test(
            "a manifest with two more blanks than its digest knows of is 400 DIGEST_INVALID",
            arguments: DigestAlgorithm.allCases)
        func otherBytes(algorithm: DigestAlgorithm) async throws {
            var data = ConformanceData(algorithm: algorithm)
            _ = data.image()
            for blob in data.blobs { try await repository.push(blob) }
            let manifest = try #require(data.manifests.first)
            let answer = try await put(
                manifest, "\(manifest.content.digest)", bytes: manifest.content.bytes + [32, 32])
            #expect(answer.status == 400)
            #expect(answer.codes == ["DIGEST_INVALID"])
            #expect(try await repository.ask("HEAD", "manifests/\(manifest.content.digest)").status == 404)
            for blob in data.blobs { try await repository.expectDeletable("blobs/\(blob.digest)") }
        }

        @Test("a manifest under a digest that is none is 400, to push and to pull")
        func noDigest() async throws {
            var data = ConformanceData()
            _ = data.image(layerCount: 1)
            for blob in data.blobs { try await repository.push(blob) }
            let manifest = try #require(data.manifests.first)
            let pushed = try await put(manifest, "sha256:baddigeststring", bytes: manifest.content.bytes)
            #expect(pushed.status == 400)
            #expect(pushed.codes == ["DIGEST_INVALID"])
            let pulled = try await repository.ask("GET", "manifests/sha256:baddigeststring", headers: Self.accepted)
            #expect(pulled.status == 400)
        }

        // MARK: Push

        /// Blobs in all forms, one after the other; then each manifest by digest; then by each tag.
        private func push(_ data: ConformanceData) async throws {
            for (position, blob) in data.blobs.enumerated() {
                let form = PushForm.allCases[position % PushForm.allCases.count]
                let answer = try await repository.send(blob.bytes, as: blob.digest, by: form)
                try await repository.expectPushed(blob, answer)
            }
            for manifest in data.manifests {
                let tags = data.tagsWithDigest ? manifest.tags : []
                let query = tags.isEmpty ? "" : "?" + tags.map { "tag=\($0)" }.joined(separator: "&")
                let answer = try await put(
                    manifest, "\(manifest.content.digest)\(query)", bytes: manifest.content.bytes)
                try await expectPushed(manifest, answer)
                #expect(namedTags(answer) == Set(tags))
            }
            guard !data.tagsWithDigest else { return }
            for manifest in data.manifests {
                for tag in manifest.tags {
                    try await expectPushed(manifest, put(manifest, tag, bytes: manifest.content.bytes))
                }
            }
        }

        private func put(
            _ manifest: ConformanceData.Manifest, _ reference: String, bytes: [UInt8]
        ) async throws -> Answer {
            try await repository.ask(
                "PUT", "manifests/\(reference)", headers: [("Content-Type", manifest.mediaType)], body: bytes)
        }

        private func expectPushed(_ manifest: ConformanceData.Manifest, _ answer: Answer) async throws {
            try #require(answer.status == 201, "\(answer.text)")
            #expect(answer["docker-content-digest"] == "\(manifest.content.digest)")
            #expect(answer["oci-subject"] == manifest.subject?.description)
            let location = try #require(answer["location"])
            expect(try await repository.ask("GET", location, headers: Self.accepted), isOf: manifest)
        }

        /// `OCI-Tag` may be there once for all tags, or once for each.
        private func namedTags(_ answer: Answer) -> Set<String> {
            let values = answer.head.headers.filter { $0.name == "oci-tag" }.map(\.value)
            return Set(values.joined(separator: ",").replacing(" ", with: "").split(separator: ",").map(String.init))
        }

        // MARK: List

        private func expectTags(of data: ConformanceData) async throws {
            let tags = data.sortedTags
            #expect(try await listedTags() == tags)
            guard let median = tags.isEmpty ? nil : tags[(tags.count - 1) / 2] else { return }
            #expect(try await listedTags("?last=\(median)") == Array(tags[((tags.count - 1) / 2 + 1)...]))
        }

        private func listedTags(_ query: String = "") async throws -> [String]? {
            let answer = try await repository.ask("GET", "tags/list\(query)")
            #expect(answer.status == 200)
            #expect(answer.json?["name"]?.stringValue == repository.name)
            return answer.json?["tags"]?.arrayValue?.compactMap(\.stringValue)
        }

        // MARK: Pull

        private func expectPulled(_ manifest: ConformanceData.Manifest) async throws {
            for reference in manifest.tags + ["\(manifest.content.digest)"] {
                let (head, get) = try await repository.headAndGet("manifests/\(reference)", headers: Self.accepted)
                expectFields(head, of: manifest)
                expect(get, isOf: manifest)
            }
        }

        private func expect(_ answer: Answer, isOf manifest: ConformanceData.Manifest) {
            expectFields(answer, of: manifest)
            let isExact = answer.body == manifest.content.bytes
            #expect(isExact, "\(manifest.content.digest)")
        }

        private func expectFields(_ answer: Answer, of manifest: ConformanceData.Manifest) {
            #expect(answer.status == 200, "\(manifest.content.digest)")
            #expect(answer["content-type"] == manifest.mediaType)
            #expect(answer["content-length"] == "\(manifest.content.sizeBytes)")
            #expect(answer["docker-content-digest"] == "\(manifest.content.digest)")
        }

        // MARK: Referrers

        private func expectReferrers(of subject: Digest, in data: ConformanceData) async throws {
            let referrers = data.manifests.filter { $0.subject == subject }
            let all = try await referrerList(of: subject)
            #expect(all["oci-filters-applied"] == nil)
            expect(all, lists: referrers)
            for type in Set(referrers.compactMap(\.artifactType)) {
                let encoded = type.replacing("/", with: "%2F").replacing("+", with: "%2B")
                let some = try await referrerList(of: subject, "?artifactType=\(encoded)")
                #expect(some["oci-filters-applied"] == "artifactType")
                expect(some, lists: referrers.filter { $0.artifactType == type })
            }
        }

        private func referrerList(of subject: Digest, _ query: String = "") async throws -> Answer {
            let answer = try await repository.ask("GET", "referrers/\(subject)\(query)")
            try #require(answer.status == 200, "\(answer.text)")
            #expect(answer["content-type"] == MediaType.ociIndex)
            #expect(answer.json?["schemaVersion"] == .number("2"))
            #expect(answer.json?["mediaType"]?.stringValue == MediaType.ociIndex)
            return answer
        }

        /// These and no others, in any order.
        private func expect(_ list: Answer, lists referrers: [ConformanceData.Manifest]) {
            let entries = list.json?["manifests"]?.arrayValue ?? []
            #expect(entries.count == referrers.count)
            for referrer in referrers {
                let digest = "\(referrer.content.digest)"
                let entry = entries.first { $0["digest"]?.stringValue == digest }
                #expect(entry?["mediaType"]?.stringValue == referrer.mediaType, "\(digest)")
                #expect(entry?["size"] == .number("\(referrer.content.sizeBytes)"), "\(digest)")
                #expect(entry?["artifactType"] == referrer.artifactType.map { .string($0) }, "\(digest)")
                let annotations = (entry?["annotations"]?.objectValue ?? []).map { ($0.name, $0.value.stringValue) }
                #expect(Dictionary(uniqueKeysWithValues: annotations) == referrer.annotations, "\(digest)")
            }
        }

        // MARK: Delete

        /// Tags, then manifests with the one that was pushed last as the first, then blobs.
        private func delete(_ data: ConformanceData) async throws {
            for tag in data.sortedTags { try await repository.expectDeletable("manifests/\(tag)") }
            for manifest in data.manifests.reversed() {
                #expect(try await repository.ask("HEAD", "manifests/\(manifest.content.digest)").status == 200)
                try await repository.expectDeletable("manifests/\(manifest.content.digest)")
            }
            for blob in data.blobs { try await repository.expectDeletable("blobs/\(blob.digest)") }
            #expect(try await listedTags() == [])
            for subject in data.subjects { expect(try await referrerList(of: subject), lists: []) }
        }
    }
}
