// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration.OneSystem {
    /// distribution-spec 1.1, "Listing Referrers" and "Pushing Manifests with Subject".
    @Suite("Referrers", .everyProcessLives)
    struct Referrers {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("referrers-\(TestBlob(sizeBytes: 4).digest.hex.prefix(8))")
        }

        /// An image manifest that points at `subject`. Each has its own number in an annotation.
        private func pushedReferrer(
            of subject: Digest, type: String? = nil, number: Int = 0
        ) async throws -> TestManifest {
            let config = TestBlob(bytes: Array("{}".utf8))
            try await repository.push(config)
            let descriptor = TestManifest.descriptor(
                config.digest, sizeBytes: 2, mediaType: "application/vnd.example.c")
            let target = TestManifest.descriptor(subject, sizeBytes: 10, mediaType: MediaType.ociManifest)
            let artifactType = type.map { "\"artifactType\":\"\($0)\"," } ?? ""
            let manifest = TestManifest(
                #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociManifest)",\#(artifactType)"config":\#(descriptor),"#
                    + #""layers":[],"subject":\#(target),"annotations":{"org.example.number":"\#(number)"}}"#)
            let answer = try await repository.push(manifest, as: "\(manifest.digest)")
            try #require(answer.status == 201, "\(answer.text)")
            #expect(answer["oci-subject"] == "\(subject)")
            return manifest
        }

        private func list(_ subject: Digest, _ query: String = "") async throws -> (Answer, [JSONValue]) {
            let answer = try await repository.ask("GET", "referrers/\(subject)\(query)")
            try #require(answer.status == 200, "\(answer.text)")
            #expect(answer["content-type"] == MediaType.ociIndex)
            #expect(answer.json?["schemaVersion"] == .number("2"))
            #expect(answer.json?["mediaType"]?.stringValue == MediaType.ociIndex)
            return (answer, try #require(answer.json?["manifests"]?.arrayValue))
        }

        private func digests(_ entries: [JSONValue]) -> [String] { entries.compactMap { $0["digest"]?.stringValue } }

        @Test("who has no referrers has an empty list, in a repository that does not exist too")
        func none() async throws {
            #expect(try await list(TestBlob(sizeBytes: 5).digest).1.isEmpty)
            _ = try await repository.pushedBlob(sizeBytes: 10)
            #expect(try await list(TestBlob(sizeBytes: 5, algorithm: .sha512).digest).1.isEmpty)
        }

        @Test("a referrer is listed whole, before its subject exists, and is gone when it is deleted")
        func one() async throws {
            let subject = TestBlob(sizeBytes: 10).digest
            let plain = try await pushedReferrer(of: subject, number: 7)
            let (_, entries) = try await list(subject)
            let entry = try #require(entries.first)
            #expect(entries.count == 1)
            #expect(entry["mediaType"]?.stringValue == MediaType.ociManifest)
            #expect(entry["digest"]?.stringValue == "\(plain.digest)")
            #expect(entry["size"] == .number("\(plain.bytes.count)"))
            #expect(entry["artifactType"]?.stringValue == "application/vnd.example.c", "the config's type stands in")
            #expect(entry["annotations"]?["org.example.number"]?.stringValue == "7")
            #expect(try await repository.ask("DELETE", "manifests/\(plain.digest)").status == 202)
            #expect(try await list(subject).1.isEmpty)
        }

        @Test("an index that points at a subject is listed, without a type unless it names one")
        func index() async throws {
            let subject = TestBlob(sizeBytes: 10).digest
            let target = TestManifest.descriptor(subject, sizeBytes: 10, mediaType: MediaType.ociManifest)
            let index = TestManifest(
                #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)","manifests":[],"subject":\#(target)}"#,
                mediaType: MediaType.ociIndex)
            let answer = try await repository.push(index, as: "\(index.digest)")
            #expect(answer.status == 201 && answer["oci-subject"] == "\(subject)")
            let entry = try #require(try await list(subject).1.first)
            #expect(entry["mediaType"]?.stringValue == MediaType.ociIndex)
            #expect(entry["artifactType"] == nil && entry["annotations"] == nil)
        }

        @Test("the filter keeps one type and says that it was applied")
        func filter() async throws {
            let subject = TestBlob(sizeBytes: 10).digest
            let sbom = try await pushedReferrer(of: subject, type: "application/vnd.example.sbom+json")
            _ = try await pushedReferrer(of: subject, type: "application/vnd.example.signature")
            let (all, entries) = try await list(subject)
            #expect(entries.count == 2 && all["oci-filters-applied"] == nil)
            let (answer, filtered) = try await list(subject, "?artifactType=application/vnd.example.sbom%2Bjson")
            #expect(answer["oci-filters-applied"] == "artifactType")
            #expect(digests(filtered) == ["\(sbom.digest)"])
            let (other, nothing) = try await list(subject, "?artifactType=application/vnd.example.other")
            #expect(nothing.isEmpty && other["oci-filters-applied"] == "artifactType")
        }

        @Test("pages follow each other by Link, each referrer once, with the filter kept")
        func pages() async throws {
            let subject = TestBlob(sizeBytes: 10).digest
            var expected: Set<String> = []
            for number in 0..<7 {
                let type = number < 5 ? "application/vnd.example.a+b" : "application/vnd.example.other"
                let manifest = try await pushedReferrer(of: subject, type: type, number: number)
                if number < 5 { expected.insert("\(manifest.digest)") }
            }
            var listed: [String] = []
            var next: String? = "referrers/\(subject)?artifactType=application%2Fvnd.example.a%2Bb&n=2"
            var pageCount = 0
            while let path = next, pageCount < 10 {
                let answer = try await repository.ask("GET", path)
                #expect(answer["oci-filters-applied"] == "artifactType")
                listed += digests(answer.json?["manifests"]?.arrayValue ?? [])
                next = answer["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
                pageCount += 1
            }
            #expect(pageCount == 3)
            #expect(listed.count == 5 && Set(listed) == expected)
        }

        @Test("what clients list under the referrers tag appears once, and only if it points at the subject")
        func tagged() async throws {
            let subject = TestBlob(sizeBytes: 10).digest
            let native = try await pushedReferrer(of: subject)
            let stranger = try await pushedReferrer(of: TestBlob(sizeBytes: 10).digest)
            let index = TestManifest.index(of: [native, stranger].map { ($0.digest, $0.bytes.count) })
            try #require(try await repository.push(index, as: "sha256-\(subject.hex)").status == 201)
            #expect(try await digests(list(subject).1) == ["\(native.digest)"])
        }

        @Test(
            "a list that cannot be asked for is 400",
            arguments: [
                ("referrers/sha256:abc", "DIGEST_INVALID"), ("referrers/latest", "DIGEST_INVALID"),
                ("referrers/DIGEST?n=-1", "UNSUPPORTED"), ("referrers/DIGEST?last=x", "UNSUPPORTED"),
                ("referrers/DIGEST?artifactType=a/b&artifactType=c/d", "UNSUPPORTED"),
                ("referrers/DIGEST?artifactType=a/b%00", "UNSUPPORTED"),
            ])
        func bad(path: String, code: String) async throws {
            let path = path.replacing("DIGEST", with: "\(TestBlob(sizeBytes: 5).digest)")
            let answer = try await repository.ask("GET", path)
            #expect(answer.status == 400 && answer.codes == [code])
        }

        @Test("without a credential the list is not given")
        func anonymous() async throws {
            let answer = try await repository.asked(with: .none).ask(
                "GET", "referrers/\(TestBlob(sizeBytes: 5).digest)")
            #expect(answer.status == 401)
        }
    }
}
