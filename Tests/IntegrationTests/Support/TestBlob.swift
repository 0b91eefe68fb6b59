// SPDX-License-Identifier: Apache-2.0

import Glibc
import Hashing
import OCI

/// Random bytes, so that no two tests share a blob, nor a part of one.
struct TestBlob: Sendable {
    let bytes: [UInt8]
    let digest: Digest

    init(bytes: [UInt8], algorithm: DigestAlgorithm = .sha256) {
        self.bytes = bytes
        var hash = StreamingHash(algorithm)
        hash.update(bytes)
        digest = hash.finalized()
    }

    init(sizeBytes: Int, algorithm: DigestAlgorithm = .sha256) {
        self.init(bytes: Self.random(sizeBytes), algorithm: algorithm)
    }

    var sizeBytes: Int { bytes.count }

    static func random(_ count: Int) -> [UInt8] {
        let source = open("/dev/urandom", O_RDONLY | O_CLOEXEC)
        defer { close(source) }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            while initializedCount < count {
                let result = read(source, buffer.baseAddress.map { $0 + initializedCount }, count - initializedCount)
                precondition(result > 0, "/dev/urandom gives bytes")
                initializedCount += result
            }
        }
    }

    /// Whether these are bytes of the blob, from this offset on.
    func contains(_ part: [UInt8], at offset: Int = 0) -> Bool {
        guard offset + part.count <= bytes.count else { return false }
        return bytes[offset..<offset + part.count].withUnsafeBytes { expected in
            part.withUnsafeBytes {
                memcmp($0.baseAddress ?? expected.baseAddress!, expected.baseAddress!, part.count) == 0
            }
        }
    }
}

extension Int {
    static let kibibyte = 1024
    static let mebibyte = 1024 * 1024
}
