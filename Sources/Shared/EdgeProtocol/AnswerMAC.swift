// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing

/// `Depot-MAC`: proof that an origin gave this answer to this very request.
package enum AnswerMAC {
    /// - Parameters:
    ///   - nonce: The request's.
    ///   - path: The request's, with its query.
    /// - Returns: The header's value.
    package static func text(nonce: String, path: String, status: Int, body: [UInt8], keys: JoinKeys) -> String {
        Base64URL.encode(keys.answer.code(for: signedBytes(nonce, path, status, body)))
    }

    static func isValid(
        _ text: String,
        nonce: String,
        path: String,
        status: Int,
        body: [UInt8],
        keys: JoinKeys
    ) -> Bool {
        guard let code = Base64URL.decode(text) else { return false }
        return keys.answer.isValid(code, for: signedBytes(nonce, path, status, body))
    }

    private static func signedBytes(_ nonce: String, _ path: String, _ status: Int, _ body: [UInt8]) -> [UInt8] {
        var message = MACMessage(capacityBytes: 256 + body.count)
        message.append(nonce)
        message.append(path)
        message.append(String(status))
        message.append(body)
        return message.bytes
    }
}
