// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import OCI
package import OriginMetadata

/// The text of a token: prefix of its kind, 43 characters for 32 random bytes, 6 characters of checksum.
///
/// The checksum lets scanners of leaked secrets, and this registry before it asks the database, tell a token from
/// noise. It is no secret. Only the SHA-256 of the whole text is stored.
package struct TokenText: Sendable {
    package let kind: TokenKind
    /// Shown once, to whoever creates the token; never logged.
    package let secret: String

    private static let randomBytes = 32
    private static let randomCharacters = 43
    private static let checksumCharacters = 6

    package static func generate(_ kind: TokenKind) -> TokenText {
        TokenText(kind, SecureRandom.bytes(randomBytes))
    }

    /// - Parameter bytes: As many as `randomBytes` says, that nobody can guess.
    private init(_ kind: TokenKind, _ bytes: [UInt8]) {
        let body = Self.prefix(of: kind) + Base64URL.encode(bytes)
        self.init(kind: kind, secret: body + Self.checksum(of: body))
    }

    /// The token of a kind that follows from another secret (HKDF, RFC 5869), the same each time.
    static func derived(_ kind: TokenKind, from master: [UInt8]) -> TokenText {
        let bytes = MAC.hkdfSHA256(master: master, info: "depot-token|" + kind.rawValue, byteCount: randomBytes)
        return TokenText(kind, bytes)
    }

    /// Reads a presented secret; `nil` if no token has such a text.
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        guard text.utf8.count == 4 + Self.randomCharacters + Self.checksumCharacters,
            let kind = TokenKind.allCases.first(where: { text.hasPrefix(Self.prefix(of: $0)) }),
            Self.checksum(of: String(text.dropLast(Self.checksumCharacters))) == text.suffix(Self.checksumCharacters)
        else { return nil }
        self.init(kind: kind, secret: text)
    }

    private init(kind: TokenKind, secret: String) {
        self.kind = kind
        self.secret = secret
    }

    /// What is stored and looked up.
    package var sha256: [UInt8] { SHA256.hash(Array(secret.utf8)).bytes }

    private static func prefix(of kind: TokenKind) -> String {
        switch kind {
        case .user: "dpu_"
        case .organization: "dpo_"
        case .project: "dpp_"
        case .trust: "dpt_"
        case .pull: "dpl_"
        }
    }

    /// First six characters of the base64url SHA-256 of what precedes them.
    private static func checksum(of body: String) -> String {
        String(Base64URL.encode(SHA256.hash(Array(body.utf8)).bytes).prefix(checksumCharacters))
    }
}
