// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI

/// The fields of a request that its signature covers. The edge's id is in the key.
struct RequestFields {
    let method: String
    /// With the query, as sent.
    let path: String
    let timestamp: Int64
    let nonce: String
    let body: [UInt8]

    var signedBytes: [UInt8] {
        var message = MACMessage()
        message.append(method)
        message.append(path)
        message.append(timestamp)
        message.append(nonce)
        SHA256.hash(body).withBytes { message.append($0) }
        return message.bytes
    }
}
