// SPDX-License-Identifier: Apache-2.0

import Hashing

/// A master key of the deployment: 32 random bytes that only origins hold.
package struct LinkMaster: Sendable {
    package static let secretBytes = 32

    package let id: String
    package let secret: [UInt8]

    package init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }
}

/// One edge's key under one master. An edge that is broken into can mint links for itself alone.
package struct LinkKey: Sendable {
    /// The id of the master.
    package let id: String
    package let secret: [UInt8]
    let mac: MACKey

    package init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
        mac = MACKey(secret)
    }

    /// HKDF-SHA256 of the master with the edge's id in `info`, so that edges cannot compute each other's keys.
    package static func derive(from master: LinkMaster, edgeID: String) -> LinkKey {
        LinkKey(
            id: master.id,
            secret: MAC.hkdfSHA256(
                master: master.secret, info: "depot-edge|" + edgeID, byteCount: LinkMaster.secretBytes))
    }
}
