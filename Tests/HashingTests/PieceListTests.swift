// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import Testing

@Suite("Piece list")
struct PieceListTests {
    private static let pieceBytes = Int(PieceList.pieceBytes)

    @Test(
        "a blob has a piece per MiB, the last one perhaps shorter",
        arguments: [
            (0, 0), (1, 1), (pieceBytes - 1, 1), (pieceBytes, 1), (pieceBytes + 1, 2), (50 << 30, 51_200),
            (Int.max, 1 << 43),
        ])
    func count(sizeBytes: Int, count: Int) {
        #expect(PieceList.count(forBlobOf: Int64(sizeBytes)) == count)
    }

    @Test("there has to be one record per piece")
    func recordCount() {
        let record = [UInt8](repeating: 0, count: 32)
        #expect(PieceList(rawDigests: [], blobSizeBytes: 0)?.count == 0)
        #expect(PieceList(rawDigests: record, blobSizeBytes: 1)?.count == 1)
        #expect(PieceList(rawDigests: record, blobSizeBytes: 0) == nil)
        #expect(PieceList(rawDigests: [], blobSizeBytes: 1) == nil)
        #expect(PieceList(rawDigests: record, blobSizeBytes: PieceList.pieceBytes + 1) == nil)
        #expect(PieceList(rawDigests: Array(record.dropLast()), blobSizeBytes: 1) == nil)
        #expect(PieceList(rawDigests: record + [0], blobSizeBytes: 1) == nil)
        #expect(PieceList(rawDigests: [], blobSizeBytes: -1) == nil)
    }

    @Test("only all the bytes of a piece match it")
    func matches() throws {
        let blob = (0..<Self.pieceBytes + 5).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let pieces = [Array(blob[..<Self.pieceBytes]), Array(blob[Self.pieceBytes...])]
        let list = try #require(
            PieceList(rawDigests: pieces.flatMap { SHA256.hash($0).bytes }, blobSizeBytes: Int64(blob.count)))
        #expect(list.range(of: 0) == 0..<PieceList.pieceBytes)
        #expect(list.range(of: 1) == PieceList.pieceBytes..<Int64(blob.count))
        #expect(list.digest(of: 1) == SHA256.hash(pieces[1]))
        let matches = { (bytes: [UInt8], piece: Int) in bytes.withUnsafeBytes { list.matches($0, piece: piece) } }
        #expect(matches(pieces[0], 0))
        #expect(matches(pieces[1], 1))
        #expect(!matches(pieces[0], 1))
        #expect(!matches(pieces[1], 0))
        #expect(!matches(Array(pieces[1].dropLast()), 1))
        #expect(!matches(pieces[1] + [0], 1))
        #expect(!matches([], 1))
        var flipped = pieces[1]
        flipped[2] ^= 1
        #expect(!matches(flipped, 1))
    }
}
