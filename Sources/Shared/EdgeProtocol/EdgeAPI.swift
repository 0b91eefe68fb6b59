// SPDX-License-Identifier: Apache-2.0

package import OCI

/// The internal surface between edges and origins, `/edge/v1`: paths and headers (`Docs/architecture.md`, "Fleet").
///
/// An edge signs every request with a key derived from its join secret (`RequestSigner`); the origin checks it
/// (`RequestVerifier`) and signs what must not be forged on the way back (`AnswerMAC`).
package enum EdgeAPIPath {
    package static let prefix = "/edge/v1"
    /// GET: `ControlLine`s for as long as the connection lives.
    package static let control = "/edge/v1/control"
    /// POST: `HeartbeatRequest` → `HeartbeatAnswer`.
    package static let heartbeat = "/edge/v1/heartbeat"
    /// GET: `KeysAnswer`, with `Depot-MAC`.
    package static let keys = "/edge/v1/keys"
    /// POST: `FillsRequest` → `FillsAnswer`.
    package static let fills = "/edge/v1/fills"

    /// GET: raw 32-byte records, with `Depot-MAC` and `Depot-Size`.
    package static func pieces(of digest: Digest) -> String {
        "/edge/v1/blobs/\(digest)/pieces"
    }
}

/// Header names, in lower case.
package enum EdgeAPIHeader {
    /// The edge's id.
    package static let edge = "depot-edge"
    /// Unix time in seconds.
    package static let timestamp = "depot-timestamp"
    /// 32 hexadecimal digits, never twice.
    package static let nonce = "depot-nonce"
    package static let signature = "depot-signature"
    /// On answers.
    package static let mac = "depot-mac"
    /// On piece lists: size of the blob in bytes.
    package static let size = "depot-size"
}
