// SPDX-License-Identifier: Apache-2.0

/// The registered digest algorithms (image-spec, "Digest"): both, and no others, are accepted everywhere.
package enum DigestAlgorithm: String, CaseIterable, Sendable {
    case sha256
    case sha512

    /// Length of the digest, in bytes.
    package var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha512: 64
        }
    }

    /// Reads the name in place.
    init?(name: UnsafeBufferPointer<UInt8>) {
        guard let algorithm = Self.allCases.first(where: { name.elementsEqual($0.rawValue.utf8) }) else { return nil }
        self = algorithm
    }
}
