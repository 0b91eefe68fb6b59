// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

@Suite("Digest")
struct DigestTests {
    private static let hex256 = "0123456789abcdef" + String(repeating: "a5", count: 24)
    private static let hex512 = hex256 + hex256

    @Test("text, hex and bytes are three forms of one digest", arguments: [("sha256", hex256), ("sha512", hex512)])
    func roundTrip(algorithmName: String, hex: String) throws {
        let text = "\(algorithmName):\(hex)"
        let digest = try #require(Digest(text))
        #expect(digest.description == text)
        #expect(digest.hex == hex)
        #expect(digest.algorithm.rawValue == algorithmName)
        #expect(digest.bytes.count == digest.algorithm.byteCount)
        #expect(digest.bytes.starts(with: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xa5]))
        #expect(digest.withBytes { Array($0) } == digest.bytes)
        #expect(Digest(algorithm: digest.algorithm, hex: hex) == digest)
        #expect(Digest(algorithm: digest.algorithm, bytes: digest.bytes) == digest)
        #expect(Digest("xx\(text)".dropFirst(2)) == digest)
        #expect(Digest(algorithm: digest.algorithm, hex: String(hex.reversed())) != digest)
    }

    @Test(
        "what is not exactly a digest is none",
        arguments: [
            "", ":", hex256, "sha256\(hex256)", "sha256:", ":abc", "sha256:\(hex256.dropLast())", "sha256:\(hex256)0",
            "sha256:\(hex256.uppercased())", "sha256:g\(hex256.dropFirst())", "sha256:\(hex512)", "sha512:\(hex256)",
            "md5:0123456789abcdef0123456789abcdef", "sha1:\(hex256.prefix(40))", "SHA256:\(hex256)", "sha256-\(hex256)",
            "sha256:../..", "sha256:" + String(repeating: "a", count: 5_000), "sha256:\(hex256.dropLast())\0",
            "sha256:\(hex256)\n", " sha256:\(hex256)", "sha256:sha256:\(hex256)", "sha256:é\(hex256.dropFirst(2))",
            "sha384:\(hex256)\(hex256.prefix(32))", "sha256:+\(hex256.dropFirst())",
        ])
    func refused(text: String) {
        #expect(Digest(text) == nil)
    }

    @Test("bytes have to be as many as the algorithm has", arguments: [0, 31, 33, 63, 64, 65])
    func byteCount(count: Int) {
        let bytes = [UInt8](repeating: 1, count: count)
        #expect(Digest(algorithm: .sha256, bytes: bytes) == nil)
        #expect((Digest(algorithm: .sha512, bytes: bytes) != nil) == (count == 64))
    }

    @Test("the order is that of the text, and equal digests hash alike")
    func order() throws {
        var texts: [String] = []
        for position in [0, 15, 16, 31, 63] {
            for digit in ["0", "7", "8", "f"] {
                var characters = Array(repeating: "5", count: 64)
                characters[position] = digit
                texts.append("sha256:" + characters.joined())
                texts.append("sha512:" + characters.joined() + String(repeating: "0", count: 64))
                texts.append("sha512:" + String(repeating: "0", count: 64) + characters.joined())
            }
        }
        let digests = try texts.map { try #require(Digest($0)) }
        #expect(digests.sorted().map(\.description) == texts.sorted())
        #expect(Set(digests).count == texts.count)
        #expect(Set(digests + digests).count == texts.count)
    }
}
