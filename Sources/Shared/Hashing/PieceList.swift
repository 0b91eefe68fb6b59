// SPDX-License-Identifier: Apache-2.0

package import OCI

/// SHA-256 of each 1 MiB piece of a blob, in order: what lets an edge check a part of a blob by itself.
///
/// The last piece may be shorter; a blob of no bytes has no pieces. Stored and sent as raw 32-byte records.
package struct PieceList: Sendable, Equatable {
    package static let pieceBytes: Int64 = 1 << 20

    private static let recordBytes = DigestAlgorithm.sha256.byteCount

    package let rawDigests: [UInt8]
    package let blobSizeBytes: Int64

    /// - Returns: `nil` unless there is exactly one record per piece.
    package init?(rawDigests: [UInt8], blobSizeBytes: Int64) {
        guard blobSizeBytes >= 0, rawDigests.count == Self.byteCount(forBlobOf: blobSizeBytes) else { return nil }
        self.rawDigests = rawDigests
        self.blobSizeBytes = blobSizeBytes
    }

    package var count: Int { rawDigests.count / Self.recordBytes }

    /// How many pieces a blob of this size has.
    package static func count(forBlobOf sizeBytes: Int64) -> Int {
        Int(sizeBytes / pieceBytes) + (sizeBytes % pieceBytes > 0 ? 1 : 0)
    }

    /// Length of the list of a blob of this size, in bytes.
    package static func byteCount(forBlobOf sizeBytes: Int64) -> Int {
        count(forBlobOf: sizeBytes) * recordBytes
    }

    /// Where a piece lies in the blob.
    package func range(of piece: Int) -> Range<Int64> {
        precondition(piece >= 0 && piece < count, "the blob has no such piece")
        let start = Int64(piece) * Self.pieceBytes
        return start..<min(start + Self.pieceBytes, blobSizeBytes)
    }

    package func digest(of piece: Int) -> Digest {
        precondition(piece >= 0 && piece < count, "the blob has no such piece")
        let record = rawDigests[piece * Self.recordBytes..<(piece + 1) * Self.recordBytes]
        guard let digest = Digest(algorithm: .sha256, bytes: record) else {
            preconditionFailure("a record is as long as a digest")
        }
        return digest
    }

    /// Whether these are the bytes of the piece, all of them. Hashes on the caller's thread: 0.6 ms per MiB.
    package func matches(_ bytes: UnsafeRawBufferPointer, piece: Int) -> Bool {
        let range = range(of: piece)
        return bytes.count == Int(range.upperBound - range.lowerBound) && SHA256.hash(bytes) == digest(of: piece)
    }
}
