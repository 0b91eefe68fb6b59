// SPDX-License-Identifier: Apache-2.0

import Hashing
package import OCI

/// The file beside a partial blob's data: which of its pieces are on disk.
///
/// Header of 72 bytes: magic (8), version (4), zero (4), boot id (16), blob size (8), SHA-256 (32) over the fields
/// before and the digest as text. Then the bitmap, which the checksum leaves out, since its bytes are overwritten in
/// place as pieces arrive and a wrong bit is harmless: each piece is hashed before its first byte is sent.
/// Integers are big-endian.
package struct PartialMap: Sendable, Equatable {
    package static let headerBytes = 72
    private static let magic: [UInt8] = Array("DEPOTMAP".utf8)
    private static let version: UInt32 = 1

    package var bootID: BootID
    package var present: PieceSet

    package init(bootID: BootID, present: PieceSet) {
        self.bootID = bootID
        self.present = present
    }

    package static func byteCount(forBlobOf sizeBytes: Int64) -> Int {
        headerBytes + PieceSet.byteCount(pieceCount: PieceList.count(forBlobOf: sizeBytes))
    }

    /// Where in the file the bit of `piece` is.
    static func byteOffset(of piece: Int) -> Int64 { Int64(headerBytes + piece / 8) }

    package func encode(digest: Digest, sizeBytes: Int64) -> [UInt8] {
        Self.header(bootID: bootID, digest: digest, sizeBytes: sizeBytes) + present.bytes
    }

    /// - Returns: `nil` for anything but the map of this blob with an unharmed header.
    package static func decode(_ bytes: [UInt8], digest: Digest, sizeBytes: Int64) -> PartialMap? {
        guard
            sizeBytes >= 0, bytes.count == byteCount(forBlobOf: sizeBytes),
            let bootID = BootID(bytes: bytes[16..<32]),
            bytes.prefix(headerBytes).elementsEqual(header(bootID: bootID, digest: digest, sizeBytes: sizeBytes)),
            let present = PieceSet(
                bytes: bytes.dropFirst(headerBytes), pieceCount: PieceList.count(forBlobOf: sizeBytes))
        else { return nil }
        return PartialMap(bootID: bootID, present: present)
    }

    private static func header(bootID: BootID, digest: Digest, sizeBytes: Int64) -> [UInt8] {
        var fields = magic
        fields.append(bigEndian: version)
        fields.append(bigEndian: UInt32(0))
        fields += bootID.bytes
        fields.append(bigEndian: sizeBytes)
        return fields + SHA256.hash(fields + Array(digest.description.utf8)).bytes
    }
}
