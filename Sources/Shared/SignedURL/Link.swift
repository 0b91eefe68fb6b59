// SPDX-License-Identifier: Apache-2.0

import Hashing
package import OCI

/// Signed links: how the origin sends a client to an edge for one blob, and how the edge knows that it did.
///
///     /b/v1/sha256/<64 hex>?a=<edge id>&e=<expiry>&k=<key id>&s=<size>&t=<tenant label>&g=<signature>
///
/// `LinkSigner` mints, `LinkVerifier` verifies; `Tests/SignedURLTests/link-vectors.json` holds both to the same text
/// (`Docs/architecture.md`, "Signed links"). A link is valid for one blob at one edge until it expires, for whoever
/// holds it. Nothing here allocates more than the link itself, reads a clock, or logs.
package struct Link: Sendable, Equatable {
    package let digest: Digest
    /// The edge that it is for; `origin` names the origin as a parent.
    package let edgeID: String
    /// Unix time, in seconds.
    package let expiry: Int64
    /// The master key that the edge's key was derived from.
    package let keyID: String
    package let sizeBytes: Int64
    /// Opaque label of the organization, never its slug.
    package let tenant: String

    package init(digest: Digest, edgeID: String, expiry: Int64, keyID: String, sizeBytes: Int64, tenant: String) {
        self.digest = digest
        self.edgeID = edgeID
        self.expiry = expiry
        self.keyID = keyID
        self.sizeBytes = sizeBytes
        self.tenant = tenant
    }

    /// Longest `a`, `k` or `t`, in bytes.
    package static let labelBytesMax = 32

    /// Whether a text can stand as `a`, `k` or `t`: 1–32 of `[a-z0-9-]`.
    package static func isLabel(_ text: String) -> Bool {
        1...labelBytesMax ~= text.utf8.count && text.utf8.allSatisfy(isLabelByte)
    }

    static func isLabelByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }
}

extension Link {
    /// What the signature covers.
    var signedBytes: [UInt8] {
        var message = MACMessage()
        message.append("depot-link-1")
        message.append(digest.algorithm.rawValue)
        digest.withBytes { message.append($0) }
        message.append(edgeID)
        message.append(expiry)
        message.append(keyID)
        message.append(sizeBytes)
        message.append(tenant)
        return message.bytes
    }
}
