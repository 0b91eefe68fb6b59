// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The content of one `Authorization` header.
package enum AuthorizationHeader: Equatable, Sendable {
    /// RFC 7617.
    case basic(user: String, password: String)
    /// RFC 6750; not empty.
    case bearer(String)

    /// `nil`: neither scheme, or not of its grammar.
    package init?(_ header: String) {
        guard let space = header.utf8.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let value = String(header[header.index(after: space)...].drop { $0 == " " })
        guard !value.isEmpty else { return nil }
        switch header[..<space].lowercased() {
        case "bearer":
            self = .bearer(value)
        case "basic":
            guard let data = Data(base64Encoded: value), !data.contains(0),
                let pair = String(validating: data, as: UTF8.self),
                let colon = pair.utf8.firstIndex(of: UInt8(ascii: ":"))
            else { return nil }
            self = .basic(
                user: String(pair[..<colon]), password: String(pair[pair.utf8.index(after: colon)...]))
        default:
            return nil
        }
    }
}
