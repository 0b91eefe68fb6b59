// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import OCI

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

/// An HMAC-SHA256 key (RFC 2104) whose two key blocks are hashed already: a code costs only its message, and no
/// allocation. Each request for a blob pays for one.
package struct MACKey: Sendable {
    private let inner: StreamingHash
    private let outer: StreamingHash

    package init(_ secret: [UInt8]) {
        // The block of SHA-256; longer keys are hashed first.
        let blockBytes = 64
        let key = secret.count > blockBytes ? SHA256.hash(secret).bytes : secret
        let padded = key + Array(repeating: 0, count: blockBytes - key.count)
        var inner = StreamingHash(.sha256)
        inner.update(padded.map { $0 ^ 0x36 })
        var outer = StreamingHash(.sha256)
        outer.update(padded.map { $0 ^ 0x5C })
        self.inner = inner
        self.outer = outer
    }

    /// - Returns: 32 bytes.
    package func code(for message: [UInt8]) -> [UInt8] {
        digest(of: message).bytes
    }

    /// Compares in constant time.
    package func isValid(_ code: [UInt8], for message: [UInt8]) -> Bool {
        digest(of: message).withBytes { expected in
            code.withUnsafeBytes { constantTimeEqual($0, expected) }
        }
    }

    private func digest(of message: [UInt8]) -> OCI.Digest {
        var first = inner
        first.update(message)
        var second = outer
        first.finalized().withBytes { second.update($0) }
        return second.finalized()
    }
}
