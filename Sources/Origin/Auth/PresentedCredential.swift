// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The content of one `Authorization` header (RFC 7617, RFC 6750).
enum PresentedCredential: Equatable {
    /// A token as it was shown at its creation, by Basic or as bearer. The user name only for Basic.
    case secret(String, userName: String?)
    /// Anything else presented as bearer: a registry token, or noise.
    case registryToken(String)

    /// What clients are told to log in as.
    static let userName = "x-token"

    /// `nil`: neither scheme, or not of its grammar.
    init?(_ header: String) {
        guard let space = header.utf8.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let scheme = header[..<space].lowercased()
        let value = String(header[header.index(after: space)...].drop { $0 == " " })
        guard !value.isEmpty else { return nil }
        switch scheme {
        case "bearer":
            self = TokenText(value) == nil ? .registryToken(value) : .secret(value, userName: nil)
        case "basic":
            guard let data = Data(base64Encoded: value), !data.contains(0),
                let pair = String(validating: data, as: UTF8.self),
                let colon = pair.firstIndex(of: ":")
            else { return nil }
            self = .secret(String(pair[pair.index(after: colon)...]), userName: String(pair[..<colon]))
        default:
            return nil
        }
    }
}
