// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing

/// The edge's side: signs requests, and checks answers.
package struct RequestSigner: Sendable {
    private let keys: JoinKeys

    package init(keys: JoinKeys) {
        self.keys = keys
    }

    /// A nonce for one request.
    package static func newNonce() -> String {
        Hex.encode(SecureRandom.bytes(RequestVerifier.nonceBytes))
    }

    /// The headers that sign a request.
    ///
    /// - Parameters:
    ///   - path: With the query, exactly as it is sent.
    ///   - now: Unix time in seconds.
    ///   - nonce: A new one for each request, repeated ones included; keep it to check the answer.
    package func headers(
        method: String,
        path: String,
        body: [UInt8],
        now: Int64,
        nonce: String = newNonce()
    ) -> [(String, String)] {
        let fields = RequestFields(method: method, path: path, timestamp: now, nonce: nonce, body: body)
        return [
            (EdgeAPIHeader.edge, keys.edgeID),
            (EdgeAPIHeader.timestamp, String(now)),
            (EdgeAPIHeader.nonce, nonce),
            (EdgeAPIHeader.signature, Base64URL.encode(keys.request.code(for: fields.signedBytes))),
        ]
    }

    /// Whether an answer comes from an origin and belongs to the request with this nonce and path.
    ///
    /// - Parameter mac: The `Depot-MAC` header; an answer without it is not genuine.
    package func verifyAnswer(mac: String?, nonce: String, path: String, status: Int, body: [UInt8]) -> Bool {
        guard let mac else { return false }
        return AnswerMAC.isValid(mac, nonce: nonce, path: path, status: status, body: body, keys: keys)
    }
}
