// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import OCI

/// Mints links.
package enum LinkSigner {
    /// The path and query to put behind the edge's base URL.
    ///
    /// - Parameter key: The key of the link's edge under the link's master.
    /// - Precondition: The labels are labels, expiry and size are not negative: they are the origin's own.
    package static func target(for link: Link, key: LinkKey) -> String {
        precondition(link.keyID == key.id, "a link names the key that signs it")
        precondition(
            Link.isLabel(link.edgeID) && Link.isLabel(link.keyID) && Link.isLabel(link.tenant),
            "labels are 1 to 32 of [a-z0-9-]")
        precondition(link.expiry >= 0 && link.sizeBytes >= 0, "expiry and size are not negative")
        let signature = Base64URL.encode(key.mac.code(for: link.signedBytes))
        return "/b/v1/\(link.digest.algorithm.rawValue)/\(link.digest.hex)?a=\(link.edgeID)&e=\(link.expiry)"
            + "&k=\(link.keyID)&s=\(link.sizeBytes)&t=\(link.tenant)&g=\(signature)"
    }
}
