// SPDX-License-Identifier: Apache-2.0

import Hashing
import NIOCore
import OCI
import OriginUploads
import Testing

@Suite struct PieceCutterTests {
    private static let piece = Int(PieceList.pieceBytes)

    /// The sizes of the segments that bodies of these network buffers are cut into.
    private func cut(_ chunks: [Int], from startBytes: Int64, declaredBytes: Int64?) -> [Int] {
        var cutter = PieceCutter(
            startBytes: startBytes, declaredBytes: declaredBytes, buffers: PieceBufferPool(idleCountMax: 2))
        var sizes: [Int] = []
        for count in chunks {
            var chunk = ByteBuffer(repeating: 1, count: count)
            while let segment = cutter.next(from: &chunk) { sizes.append(segment.count) }
            #expect(chunk.readableBytes == 0)
        }
        #expect(cutter.isComplete)
        if let rest = cutter.rest() { sizes.append(rest.count) }
        return sizes
    }

    @Test("segments end at multiples of one piece, whatever the network delivers")
    func alignment() {
        let piece = Self.piece
        #expect(cut([10, 20], from: 0, declaredBytes: nil) == [30])
        #expect(cut([piece], from: 0, declaredBytes: nil) == [piece])
        #expect(cut([piece - 1, 2], from: 0, declaredBytes: nil) == [piece, 1])
        #expect(cut([3 * piece + 7], from: 0, declaredBytes: Int64(3 * piece + 7)) == [piece, piece, piece, 7])
        #expect(cut([piece], from: 5, declaredBytes: Int64(piece)) == [piece - 5, 5])
        #expect(cut([], from: 5, declaredBytes: 0) == [])
    }

    @Test("bytes arrive in order and unchanged")
    func content() {
        var cutter = PieceCutter(startBytes: 0, declaredBytes: nil, buffers: PieceBufferPool(idleCountMax: 0))
        var first = ByteBuffer(bytes: [1, 2, 3])
        var second = ByteBuffer(bytes: [4, 5])
        let none = [cutter.next(from: &first), cutter.next(from: &second)]
        let rest = cutter.rest()
        let nothing = cutter.rest()
        #expect(none.allSatisfy { $0 === nil })
        #expect(rest.map { Array($0.bytes) } == [1, 2, 3, 4, 5])
        #expect(nothing === nil)
    }

    @Test("a body has no room for more than it declared, and is not complete with less")
    func declared() {
        var cutter = PieceCutter(startBytes: 100, declaredBytes: 10, buffers: PieceBufferPool(idleCountMax: 0))
        #expect(cutter.hasRoom(for: 10))
        #expect(!cutter.hasRoom(for: 11))
        var chunk = ByteBuffer(repeating: 0, count: 9)
        _ = cutter.next(from: &chunk)
        #expect(!cutter.isComplete)
        #expect(!cutter.hasRoom(for: 2))
    }
}

@Suite struct ResumePointTests {
    @Test(
        "a stored point goes on as if nothing had happened", arguments: DigestAlgorithm.allCases,
        [0, 5, 1 << 20, (1 << 20) + 3])
    func roundTrip(algorithm: DigestAlgorithm, count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        var whole = StreamingHash(algorithm)
        whole.update(bytes)
        var piece = StreamingHash(.sha256)
        piece.update(Array(bytes.suffix(count % (1 << 20))))
        let point = ResumePoint(
            offsetBytes: Int64(count), wholeHash: whole, pieceHash: count % (1 << 20) == 0 ? nil : piece)
        let stored = try #require(
            ResumePoint(offsetBytes: Int64(count), hashState: point.hashState, pieceState: point.pieceState))
        #expect(stored.algorithm == algorithm)
        #expect(stored.wholeHash.finalized() == whole.finalized())
        #expect(stored.pieceHash?.finalized() == point.pieceHash?.finalized())
    }

    @Test("states of another offset, of another hash, or cut off are refused")
    func refused() {
        var whole = StreamingHash(.sha256)
        whole.update([1, 2, 3])
        let point = ResumePoint(offsetBytes: 3, wholeHash: whole, pieceHash: whole)
        #expect(ResumePoint(offsetBytes: 3, hashState: point.hashState, pieceState: point.pieceState) != nil)
        #expect(ResumePoint(offsetBytes: 4, hashState: point.hashState, pieceState: point.pieceState) == nil)
        #expect(ResumePoint(offsetBytes: 3, hashState: point.hashState, pieceState: []) == nil)
        #expect(
            ResumePoint(offsetBytes: 3, hashState: [2] + point.hashState.dropFirst(), pieceState: point.pieceState)
                == nil)
        #expect(ResumePoint(offsetBytes: 3, hashState: point.hashState.dropLast(), pieceState: point.pieceState) == nil)
        #expect(ResumePoint(offsetBytes: 3, hashState: [], pieceState: []) == nil)
    }
}
