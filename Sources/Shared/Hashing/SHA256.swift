// SPDX-License-Identifier: Apache-2.0

package import OCI

/// SHA-256 of bytes that are all at hand.
package enum SHA256 {
    package static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hash = StreamingHash(.sha256)
        hash.update(bytes)
        return hash.finalized()
    }

    package static func hash(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { hash($0) }
    }
}
