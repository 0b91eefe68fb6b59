// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

extension Integration.Conformance {
    /// distribution-spec 1.1: parts of a blob (main's addition of RFC 9110 §14), and what is not there.
    @Suite("Conformance: pulls", .everyProcessLives)
    struct Pulls {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = .unused("pulls", in: system)
        }

        private static let sizeBytes = 2048

        /// Nil: not satisfiable.
        static let ranges: [Row<Range<Int>?>] = [
            Row("bytes=500-1499", 500..<1500),
            Row("bytes=500-", 500..<sizeBytes),
            Row("bytes=-500", sizeBytes - 500..<sizeBytes),
            Row("bytes=2000-5000", 2000..<sizeBytes),
            Row("bytes=500-0", nil),
            Row("bytes=5000-10000", nil),
        ]

        @Test("a part of a small blob comes from the edge, and the same from the origin", arguments: ranges)
        func range(row: Row<Range<Int>?>) async throws {
            for algorithm in DigestAlgorithm.allCases {
                let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes, algorithm: algorithm)
                // As clients do that follow: the range is in both requests.
                let redirect = try await repository.ask(
                    "GET", "blobs/\(blob.digest)", headers: [("Range", row.name)])
                try #require(redirect.status == 307, "\(redirect.text)")
                let link = try EdgeLink(url: try #require(redirect["location"]))
                let fromEdge = try await link.get([("Range", row.name)])
                let fromOrigin = try await repository.blobFromOrigin(blob.digest, headers: [("Range", row.name)])
                for answer in [fromEdge, fromOrigin] { expect(answer, is: row.value, of: blob) }
            }
        }

        private func expect(_ answer: Answer, is range: Range<Int>?, of blob: TestBlob) {
            guard let range else {
                #expect(answer.status == 416)
                return
            }
            #expect(answer.status == 206)
            #expect(answer["content-length"] == "\(range.count)")
            #expect(
                answer["content-range"] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(Self.sizeBytes)")
            #expect(answer.bodyBytes == range.count && blob.contains(answer.body, at: range.lowerBound))
        }

        @Test("where nobody has pushed there is no list of tags, but an empty one of referrers")
        func nothingPushed() async throws {
            let tags = try await repository.ask("GET", "tags/list")
            #expect(tags.status == 404)
            for algorithm in DigestAlgorithm.allCases {
                let subject = TestBlob(sizeBytes: 26, algorithm: algorithm).digest
                let referrers = try await repository.ask("GET", "referrers/\(subject)")
                #expect(referrers.status == 200)
                #expect(referrers["content-type"] == MediaType.ociIndex)
                #expect(referrers.json?["schemaVersion"] == .number("2"))
                #expect(referrers.json?["mediaType"]?.stringValue == MediaType.ociIndex)
                #expect(referrers.json?["manifests"] == .array([]))
            }
        }

        @Test("what was not pushed is 404, in a repository that has other content", arguments: DigestAlgorithm.allCases)
        func missing(algorithm: DigestAlgorithm) async throws {
            _ = try await repository.pushedBlob(sizeBytes: 10)
            let digest = TestBlob(sizeBytes: 512, algorithm: algorithm).digest
            for (path, code) in [
                ("blobs/\(digest)", "BLOB_UNKNOWN"), ("manifests/\(digest)", "MANIFEST_UNKNOWN"),
                ("manifests/missing-\(digest.hex.prefix(20))", "MANIFEST_UNKNOWN"),
            ] {
                let (head, get) = try await repository.headAndGet(path)
                #expect(head.status == 404, "\(path)")
                #expect(get.status == 404, "\(path)")
                #expect(get.codes == [code], "\(path)")
            }
        }
    }
}
