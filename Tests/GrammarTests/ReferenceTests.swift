// SPDX-License-Identifier: Apache-2.0

import Grammar
import OCI
import Testing

@Suite struct ChunkRangeTests {
    @Test(
        "an inclusive range becomes a half-open one",
        arguments: [
            ("0-0", 0..<1), ("5-9", 5..<10), ("0-9223372036854775806", 0..<Int64.max),
        ] as [(String, Range<Int64>)])
    func valid(text: String, range: Range<Int64>) throws {
        #expect(try ChunkRange.parse(text) == range)
    }

    @Test(
        "U17–U19: what is not START-END is malformed",
        arguments: [
            "", "-", "5", "bytes 0-9/10", "bytes=0-9", "0-9/10", "-1-5", "0-", "-5", "0 - 9", "a-b", "0--9", "+1-2",
        ])
    func malformed(text: String) {
        #expect(throws: ChunkRangeFault.malformed) { try ChunkRange.parse(text) }
    }

    @Test(
        "U15–U16: a range that no upload can have",
        arguments: ["9-5", "0-9223372036854775807", "0-99999999999999999999"])
    func impossible(text: String) {
        #expect(throws: ChunkRangeFault.impossible) { try ChunkRange.parse(text) }
    }

    @Test("the range of a session is inclusive", arguments: [(0, "0-0"), (1, "0-0"), (10, "0-9")] as [(Int64, String)])
    func text(sizeBytes: Int64, text: String) {
        #expect(ChunkRange.text(sizeBytes: sizeBytes) == text)
    }
}

@Suite struct ReferenceTextTests {
    private static let hex = String(repeating: "0", count: 64)

    @Test("tags and digests")
    func valid() throws {
        #expect(ReferenceText("latest") == .reference(.tag(try #require(Tag("latest")))))
        let digest = "sha256:\(Self.hex)"
        #expect(ReferenceText(digest[...]) == .reference(.digest(try #require(Digest(digest)))))
    }

    @Test(
        "D1–D13: meant as a digest, and not one",
        arguments: [
            "sha256:", "sha256:\(hex.dropLast())", "sha256:\(hex)0", "SHA256:\(hex)", "sha512:\(hex)",
            "sha256:\(hex.dropLast())g", "sha256:\(hex.dropLast())A", "md5:d41d8cd98f00b204e9800998ecf8427e",
            "sha256:../..",
        ])
    func invalidDigest(text: String) {
        #expect(ReferenceText(text[...]) == .invalidDigest)
    }

    @Test(
        "T1–T12: no tag",
        arguments: [
            String(repeating: "a", count: 129), ".x", "-x", "x+y", "x@y", "x%20y", "x:y", "", "..", "é", "x%00", "x%0a",
        ])
    func invalidTag(text: String) {
        #expect(ReferenceText(text[...]) == .invalidTag)
    }
}
