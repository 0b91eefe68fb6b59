// SPDX-License-Identifier: Apache-2.0

import CLibcrypto
package import OCI

/// A running SHA-256 or SHA-512 whose state can be stored and resumed, by another process too.
///
/// A plain value: a copy goes on by itself. Bytes are hashed on the caller's thread, at 1.7 GB/s and more where the
/// processor has SHA instructions.
package struct StreamingHash: Sendable {
    private enum Context {
        case sha256(SHA256_CTX)
        case sha512(SHA512_CTX)
    }

    private var context: Context

    package init(_ algorithm: DigestAlgorithm) {
        switch algorithm {
        case .sha256:
            var context = SHA256_CTX()
            SHA256_Init(&context)
            self.context = .sha256(context)
        case .sha512:
            var context = SHA512_CTX()
            SHA512_Init(&context)
            self.context = .sha512(context)
        }
    }

    package var algorithm: DigestAlgorithm {
        switch context {
        case .sha256: .sha256
        case .sha512: .sha512
        }
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        switch context {
        case .sha256(var context):
            SHA256_Update(&context, start, bytes.count)
            self.context = .sha256(context)
        case .sha512(var context):
            SHA512_Update(&context, start, bytes.count)
            self.context = .sha512(context)
        }
    }

    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    /// The digest of the bytes so far; more may follow.
    package func finalized() -> Digest {
        let byteCount = algorithm.byteCount
        let digest = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: byteCount) { output in
            switch context {
            case .sha256(var context): SHA256_Final(output.baseAddress, &context)
            case .sha512(var context): SHA512_Final(output.baseAddress, &context)
            }
            return Digest(algorithm: algorithm, bytes: output)
        }
        guard let digest else { preconditionFailure("the buffer is as long as the digest") }
        return digest
    }

    /// How many bytes were hashed.
    package var byteCount: Int64 {
        switch context {
        case .sha256(let context): Int64((UInt64(context.Nh) << 32 | UInt64(context.Nl)) / 8)
        case .sha512(let context): Int64(context.Nl / 8)
        }
    }
}

extension StreamingHash {
    /// The state to store: 112 bytes for SHA-256, 216 for SHA-512, in the byte order of this machine.
    package var savedState: [UInt8] {
        switch context {
        case .sha256(let context): withUnsafeBytes(of: context) { Array($0) }
        case .sha512(let context): withUnsafeBytes(of: context) { Array($0) }
        }
    }

    /// Takes up a stored state.
    ///
    /// libcrypto trusts its context: a wrong fill count would make it write outside its buffer, a wrong digest length
    /// outside ours. So everything but the hash words is checked against the byte count.
    /// - Returns: `nil` if the bytes cannot be a state of this algorithm.
    package init?(savedState: [UInt8], algorithm: DigestAlgorithm) {
        switch algorithm {
        case .sha256:
            var context = SHA256_CTX()
            guard Self.load(savedState, into: &context),
                context.md_len == algorithm.byteCount,
                context.Nl % 8 == 0,
                context.num == context.Nl / 8 % UInt32(SHA256_CBLOCK)
            else { return nil }
            self.context = .sha256(context)
        case .sha512:
            var context = SHA512_CTX()
            guard Self.load(savedState, into: &context),
                context.md_len == algorithm.byteCount,
                context.Nh == 0, context.Nl % 8 == 0,
                UInt64(context.num) == UInt64(context.Nl) / 8 % UInt64(SHA512_CBLOCK)
            else { return nil }
            self.context = .sha512(context)
        }
    }

    private static func load<Context>(_ saved: [UInt8], into context: inout Context) -> Bool {
        withUnsafeMutableBytes(of: &context) { destination in
            guard destination.count == saved.count else { return false }
            destination.copyBytes(from: saved)
            return true
        }
    }
}
