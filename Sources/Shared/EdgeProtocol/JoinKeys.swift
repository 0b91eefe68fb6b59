// SPDX-License-Identifier: Apache-2.0

import Hashing

/// The keys that an edge and the origins share, one per direction, so that neither side's words can be turned back on
/// it. Derived from the join secret and the edge's id.
package struct JoinKeys: Sendable {
    package let edgeID: String
    let request: MACKey
    let answer: MACKey

    package init(secret: [UInt8], edgeID: String) {
        self.edgeID = edgeID
        request = Self.key(secret, "depot-edge-request|" + edgeID)
        answer = Self.key(secret, "depot-edge-answer|" + edgeID)
    }

    private static func key(_ secret: [UInt8], _ info: String) -> MACKey {
        MACKey(MAC.hkdfSHA256(master: secret, info: info, byteCount: MAC.byteCount))
    }
}
