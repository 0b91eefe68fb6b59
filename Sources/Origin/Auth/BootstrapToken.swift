// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import OCI

/// What the first start of a deployment without a terminal leaves behind, in a file that only the origin's user reads:
/// whoever has it may ask once for the first credentials.
package struct BootstrapToken: Sendable, Equatable {
    package static let fileBytesMax = 256
    private static let prefix = "dpb_"
    private static let characterCount = 43

    let secret: String

    package static func generate() -> BootstrapToken {
        BootstrapToken(secret: prefix + Base64URL.encode(SecureRandom.bytes(32)))
    }

    private init(secret: String) { self.secret = secret }

    init?(_ text: some StringProtocol) {
        let bytes = text.dropFirst(Self.prefix.utf8.count)
        guard text.hasPrefix(Self.prefix), bytes.utf8.count == Self.characterCount,
            Base64URL.decode(String(bytes)) != nil
        else { return nil }
        secret = String(text)
    }

    /// What the file holds.
    init?(file bytes: [UInt8]) {
        guard let text = String(validating: bytes.prefix { $0 > 0x20 }, as: UTF8.self) else { return nil }
        self.init(text)
    }

    var file: [UInt8] { Array((secret + "\n").utf8) }

    /// 32 random bytes.
    var secretBytes: [UInt8] { Base64URL.decode(String(secret.dropFirst(Self.prefix.utf8.count))) ?? [] }

    var sha256: [UInt8] { SHA256.hash(Array(secret.utf8)).bytes }
}
