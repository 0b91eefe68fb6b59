// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import Hashing
import OCI
import Testing

@Suite("Names, trailers, and maps on disk")
struct CodecTests {
    private let blob = TestBlob(byteCount: 2 << 20 | 77, seed: 1)

    @Test("a trailer comes back as it was written")
    func trailer() {
        let bytes = BlobTrailer.encode(blob.pieces, digest: blob.digest, sizeBytes: blob.sizeBytes)
        #expect(Int64(bytes.count) == BlobTrailer.byteCount(forBlobOf: blob.sizeBytes))
        #expect(BlobTrailer.decode(bytes, digest: blob.digest, sizeBytes: blob.sizeBytes) == blob.pieces)
    }

    @Test("the trailer of a blob of no bytes is its footer")
    func emptyTrailer() {
        let empty = TestBlob(byteCount: 0)
        let bytes = BlobTrailer.encode(empty.pieces, digest: empty.digest, sizeBytes: 0)
        #expect(bytes.count == 64)
        #expect(BlobTrailer.decode(bytes, digest: empty.digest, sizeBytes: 0) == empty.pieces)
    }

    @Test("any flipped bit, another length, size or digest makes a trailer worthless")
    func brokenTrailer() {
        let bytes = BlobTrailer.encode(blob.pieces, digest: blob.digest, sizeBytes: blob.sizeBytes)
        for index in bytes.indices {
            var broken = bytes
            broken[index] ^= 1
            #expect(BlobTrailer.decode(broken, digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
        }
        for count in [0, 1, 63, bytes.count - 1] {
            #expect(
                BlobTrailer.decode(Array(bytes.prefix(count)), digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
        }
        #expect(BlobTrailer.decode(bytes + [0], digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
        #expect(BlobTrailer.decode(bytes, digest: blob.digest, sizeBytes: blob.sizeBytes + 1) == nil)
        #expect(BlobTrailer.decode(bytes, digest: TestBlob(byteCount: 5).digest, sizeBytes: blob.sizeBytes) == nil)
    }

    @Test("a map comes back as it was written; a flipped bit of the header makes it worthless")
    func map() {
        var present = PieceSet(pieceCount: blob.pieces.count)
        present.insert(0)
        present.insert(2)
        let map = PartialMap(bootID: .random(), present: present)
        let bytes = map.encode(digest: blob.digest, sizeBytes: blob.sizeBytes)
        #expect(bytes.count == PartialMap.byteCount(forBlobOf: blob.sizeBytes))
        #expect(PartialMap.decode(bytes, digest: blob.digest, sizeBytes: blob.sizeBytes) == map)
        for index in 0..<PartialMap.headerBytes {
            var broken = bytes
            broken[index] ^= 0x80
            #expect(PartialMap.decode(broken, digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
        }
        #expect(PartialMap.decode([], digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
        #expect(PartialMap.decode(bytes + [0], digest: blob.digest, sizeBytes: blob.sizeBytes) == nil)
    }

    @Test("bits of a map behind the last piece are ignored")
    func surplusBits() throws {
        var bytes = PartialMap(bootID: .random(), present: PieceSet(pieceCount: 3))
            .encode(digest: blob.digest, sizeBytes: blob.sizeBytes)
        bytes[bytes.count - 1] = 0xFF
        let map = try #require(PartialMap.decode(bytes, digest: blob.digest, sizeBytes: blob.sizeBytes))
        #expect(map.present.count == 3)
        #expect(!map.present.contains(3))
    }

    @Test("random bytes never decode and never trap")
    func garbage() {
        for count in [0, 1, 31, 32, 64, 72, 73, 96, 160, 161, 4096] {
            for _ in 0..<20 {
                let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max) }
                for size: Int64 in [0, 1, 1 << 20, blob.sizeBytes, BlobName.sizeBytesMax] {
                    #expect(BlobTrailer.decode(bytes, digest: blob.digest, sizeBytes: size) == nil)
                    #expect(PartialMap.decode(bytes, digest: blob.digest, sizeBytes: size) == nil)
                }
            }
        }
    }

    @Test("a name says digest and size", arguments: DigestAlgorithm.allCases)
    func names(algorithm: DigestAlgorithm) throws {
        let digest = try #require(
            Digest(algorithm: algorithm, bytes: Array(repeating: 0xA5, count: algorithm.byteCount)))
        for size: Int64 in [0, 1, 12345, BlobName.sizeBytesMax] {
            let name = BlobName(digest: digest, sizeBytes: size)
            #expect(BlobName(name.text) == name)
        }
        #expect(BlobName(digest: digest, sizeBytes: 1).folder == "a5")
    }

    @Test(
        "what the cache did not write is no name",
        arguments: [
            "", ".", ".5", "abc.5", "HEX", "HEX.", "HEX.-5", "HEX.+5", "HEX.05", "HEX.5.data", "HEX.5 ", "HEX.0x5",
            "HEX.9223372036854775808", "HEX.9223372036854775807", "HEX.1099511627777", "UPPER.5", "HEXa.5",
        ])
    func notNames(text: String) {
        let hex = String(repeating: "0a", count: 32)
        let name = text.replacing("HEX", with: hex).replacing("UPPER", with: hex.uppercased())
        #expect(BlobName(name) == nil)
    }
}
