// SPDX-License-Identifier: Apache-2.0

package import Hashing
package import OCI

/// What follows the blob in its data file: the piece list and a footer of 64 bytes, so that one rename commits bytes
/// and list together, and a file can be checked with nothing else at hand.
///
/// Footer: magic (8), version (4), zero (4), blob size (8), piece count (8), SHA-256 (32) over the list, the fields
/// before and the digest as text. The digest is bound so that a renamed file fails: a name is not proof of content.
/// Integers are big-endian.
package enum BlobTrailer {
    static let footerBytes = 64
    private static let magic: [UInt8] = Array("DEPOTBLB".utf8)
    private static let version: UInt32 = 1

    package static func byteCount(forBlobOf sizeBytes: Int64) -> Int64 {
        Int64(PieceList.count(forBlobOf: sizeBytes)) * 32 + Int64(footerBytes)
    }

    package static func encode(_ pieces: PieceList, digest: Digest, sizeBytes: Int64) -> [UInt8] {
        let fields = fields(sizeBytes: sizeBytes, pieceCount: pieces.count)
        return pieces.rawDigests + fields + checksum(list: pieces.rawDigests, fields: fields, digest: digest)
    }

    /// - Returns: `nil` for anything but the trailer of this blob, whole and unharmed.
    package static func decode(_ bytes: [UInt8], digest: Digest, sizeBytes: Int64) -> PieceList? {
        guard sizeBytes >= 0, Int64(bytes.count) == byteCount(forBlobOf: sizeBytes) else { return nil }
        let list = Array(bytes.dropLast(footerBytes))
        let fields = fields(sizeBytes: sizeBytes, pieceCount: list.count / 32)
        let footer = fields + checksum(list: list, fields: fields, digest: digest)
        guard bytes.suffix(footerBytes).elementsEqual(footer) else { return nil }
        return PieceList(rawDigests: list, blobSizeBytes: sizeBytes)
    }

    private static func fields(sizeBytes: Int64, pieceCount: Int) -> [UInt8] {
        var fields = magic
        fields.append(bigEndian: version)
        fields.append(bigEndian: UInt32(0))
        fields.append(bigEndian: sizeBytes)
        fields.append(bigEndian: Int64(pieceCount))
        return fields
    }

    private static func checksum(list: [UInt8], fields: [UInt8], digest: Digest) -> [UInt8] {
        SHA256.hash(list + fields + Array(digest.description.utf8)).bytes
    }
}

extension [UInt8] {
    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
