// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import Testing

@Suite("Streaming hash")
struct StreamingHashTests {
    /// FIPS 180-4 examples, and one that is longer than a block of either algorithm.
    static let examples: [(DigestAlgorithm, String, String)] = [
        (.sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            .sha256, String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
        (
            .sha512, "",
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                + "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        ),
        (
            .sha512, "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    ]

    @Test("known digests", arguments: examples)
    func known(algorithm: DigestAlgorithm, text: String, hex: String) {
        var hash = StreamingHash(algorithm)
        hash.update(Array(text.utf8))
        #expect(hash.finalized().hex == hex)
        #expect(hash.byteCount == text.utf8.count)
        #expect(hash.algorithm == algorithm)
        if algorithm == .sha256 { #expect(SHA256.hash(Array(text.utf8)).hex == hex) }
    }

    @Test(
        "a stored state goes on as if it had never been stored, at every fill of a block",
        arguments: DigestAlgorithm.allCases)
    func resume(algorithm: DigestAlgorithm) throws {
        let bytes = (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var whole = StreamingHash(algorithm)
        whole.update(bytes)
        for cut in 0...bytes.count {
            var first = StreamingHash(algorithm)
            first.update(Array(bytes[..<cut]))
            let state = first.savedState
            #expect(state.count == (algorithm == .sha256 ? 112 : 216))
            var second = try #require(StreamingHash(savedState: state, algorithm: algorithm))
            #expect(second.byteCount == Int64(cut))
            second.update(Array(bytes[cut...]))
            #expect(second.finalized() == whole.finalized())
        }
    }

    @Test("a digest taken in between, and a copy, leave the hash as it is")
    func intermediate() {
        var hash = StreamingHash(.sha256)
        hash.update(Array("a".utf8))
        var copy = hash
        copy.update(Array("x".utf8))
        #expect(hash.finalized() == SHA256.hash(Array("a".utf8)))
        #expect(hash.finalized() == SHA256.hash(Array("a".utf8)))
        hash.update(Array("bc".utf8))
        #expect(hash.finalized() == SHA256.hash(Array("abc".utf8)))
        #expect(copy.finalized() == SHA256.hash(Array("ax".utf8)))
    }

    @Test("a state of another length or another algorithm is refused", arguments: DigestAlgorithm.allCases)
    func wrongLength(algorithm: DigestAlgorithm) {
        let state = StreamingHash(algorithm).savedState
        #expect(StreamingHash(savedState: [], algorithm: algorithm) == nil)
        #expect(StreamingHash(savedState: Array(state.dropLast()), algorithm: algorithm) == nil)
        #expect(StreamingHash(savedState: state + [0], algorithm: algorithm) == nil)
        let other: DigestAlgorithm = algorithm == .sha256 ? .sha512 : .sha256
        #expect(StreamingHash(savedState: state, algorithm: other) == nil)
    }

    /// Bit counters, fill count and digest length: where a wrong value would make libcrypto write out of bounds.
    @Test(
        "a state whose counters contradict one another is refused",
        arguments: [(.sha256, [32..<40, 104..<112]), (.sha512, [64..<80, 208..<216])]
            as [(DigestAlgorithm, [Range<Int>])])
    func contradiction(algorithm: DigestAlgorithm, fields: [Range<Int>]) {
        var hash = StreamingHash(algorithm)
        hash.update(Array("abc".utf8))
        let state = hash.savedState
        for offset in fields.joined() {
            for bit in 0..<8 {
                var damaged = state
                damaged[offset] ^= 1 << UInt8(bit)
                // A change of the count by whole blocks is a state of other bytes, and harmless.
                guard let restored = StreamingHash(savedState: damaged, algorithm: algorithm) else { continue }
                let blockBytes: Int64 = algorithm == .sha256 ? 64 : 128
                #expect(restored.byteCount != 3 && restored.byteCount % blockBytes == 3, "byte \(offset), bit \(bit)")
            }
        }
    }
}
