// SPDX-License-Identifier: Apache-2.0

package import Hashing
package import OCI

/// Where an upload goes on: a durable offset, and the two running hashes as they stood there.
///
/// Stored with the session (`Docs/architecture.md`, "Uploads"). The whole hash is stored behind one byte that names
/// its algorithm, since a PUT may bring an algorithm that the session did not announce.
package struct ResumePoint: Sendable {
    package let offsetBytes: Int64
    package let wholeHash: StreamingHash
    /// The hash of the piece that `offsetBytes` lies in; `nil` at a multiple of 1 MiB.
    package let pieceHash: StreamingHash?

    package var algorithm: DigestAlgorithm { wholeHash.algorithm }

    package init(offsetBytes: Int64, wholeHash: StreamingHash, pieceHash: StreamingHash?) {
        self.offsetBytes = offsetBytes
        self.wholeHash = wholeHash
        self.pieceHash = pieceHash
    }

    /// An upload that has no bytes yet.
    package init(startingWith algorithm: DigestAlgorithm) {
        self.init(offsetBytes: 0, wholeHash: StreamingHash(algorithm), pieceHash: nil)
    }

    /// - Returns: `nil` if the stored states are not states of these hashes at this offset.
    package init?(offsetBytes: Int64, hashState: [UInt8], pieceState: [UInt8]) {
        guard let tag = hashState.first, let algorithm = Self.algorithm(ofTag: tag),
            let wholeHash = StreamingHash(savedState: Array(hashState.dropFirst()), algorithm: algorithm),
            wholeHash.byteCount == offsetBytes
        else { return nil }
        let pieceBytes = offsetBytes % PieceList.pieceBytes
        guard pieceBytes > 0 else {
            guard pieceState.isEmpty else { return nil }
            self.init(offsetBytes: offsetBytes, wholeHash: wholeHash, pieceHash: nil)
            return
        }
        guard let pieceHash = StreamingHash(savedState: pieceState, algorithm: .sha256),
            pieceHash.byteCount == pieceBytes
        else { return nil }
        self.init(offsetBytes: offsetBytes, wholeHash: wholeHash, pieceHash: pieceHash)
    }

    package var hashState: [UInt8] { [Self.tag(of: algorithm)] + wholeHash.savedState }
    package var pieceState: [UInt8] { pieceHash?.savedState ?? [] }

    private static func tag(of algorithm: DigestAlgorithm) -> UInt8 {
        switch algorithm {
        case .sha256: 1
        case .sha512: 2
        }
    }

    private static func algorithm(ofTag tag: UInt8) -> DigestAlgorithm? {
        DigestAlgorithm.allCases.first { Self.tag(of: $0) == tag }
    }
}
