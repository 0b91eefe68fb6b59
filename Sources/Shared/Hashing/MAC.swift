// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials

/// HMAC-SHA256 and HKDF-SHA256, for keys that are used once. For a key that is used often: `MACKey`.
package enum MAC {
    package static let byteCount = 32

    package static func hmacSHA256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        MACKey(key).code(for: message)
    }

    /// HKDF (RFC 5869) with an empty salt.
    package static func hkdfSHA256(master: [UInt8], info: String, byteCount: Int) -> [UInt8] {
        HKDF<Crypto.SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: master), info: Array(info.utf8), outputByteCount: byteCount
        ).withUnsafeBytes { Array($0) }
    }

    /// Compares in constant time.
    package static func isValid(_ code: [UInt8], key: [UInt8], _ message: [UInt8]) -> Bool {
        MACKey(key).isValid(code, for: message)
    }
}

/// An HMAC-SHA256 key whose two key blocks are hashed already: a code costs only its message.
package struct MACKey: Sendable {
    private let prepared: HMAC<Crypto.SHA256>

    package init(_ secret: [UInt8]) {
        prepared = HMAC<Crypto.SHA256>(key: SymmetricKey(data: secret))
    }

    /// - Returns: 32 bytes.
    package func code(for message: [UInt8]) -> [UInt8] {
        code(for: message) { Array($0) }
    }

    /// Compares in constant time.
    package func isValid(_ code: [UInt8], for message: [UInt8]) -> Bool {
        self.code(for: message) { expected in
            code.withUnsafeBytes { constantTimeEqual($0, expected) }
        }
    }

    private func code<Result>(for message: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        var hmac = prepared
        hmac.update(data: message)
        return hmac.finalize().withUnsafeBytes { body($0) }
    }
}
