// SPDX-License-Identifier: Apache-2.0

/// A URL that everybody reads the same way: `http` or `https`, no user, a host in lower case, no fragment, no dot segments.
///
/// It is narrower than RFC 3986 on purpose: issuers are compared byte for byte (OpenID Connect Discovery 1.0, section
/// 4.3), and the host decides which addresses a request may reach.
struct TrustURL: Sendable, Equatable {
    static let textBytesMax = 512

    let text: String
    /// Without the port; an IPv6 address keeps its brackets.
    let host: String
    let isPlainHTTP: Bool

    /// An issuer: no query, and no slash at the end.
    init?(issuer: String) {
        self.init(issuer)
        guard !text.utf8.contains(UInt8(ascii: "?")), text.utf8.last != UInt8(ascii: "/") else { return nil }
    }

    /// Where an issuer keeps its keys.
    init?(_ text: String) {
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let scheme = text.hasPrefix("https://") ? "https://" : "http://"
        guard text.hasPrefix(scheme), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard let host = Self.host(of: authority), Self.isClean(rest.dropFirst(authority.count)) else { return nil }
        self.text = text
        self.host = host
        isPlainHTTP = scheme == "http://"
    }

    private static func host(of authority: Substring) -> String? {
        let isBracketed = authority.hasPrefix("[")
        let host =
            isBracketed
            ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        let after = authority.dropFirst(host.count)
        guard after.isEmpty || isPort(after.dropFirst()) && after.first == ":" else { return nil }
        let allowed = isBracketed ? "0123456789abcdef:." : "0123456789abcdefghijklmnopqrstuvwxyz.-"
        let name = isBracketed ? host.dropFirst().dropLast() : host[...]
        guard authority.hasPrefix(host), !name.isEmpty, name.allSatisfy(allowed.contains), !name.contains(".."),
            name.first != ".", name.first != "-", name.last != "."
        else { return nil }
        return String(host)
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard text.allSatisfy({ ("0"..."9").contains($0) }), text.first != "0", let port = UInt16(text) else {
            return false
        }
        return port > 0
    }

    /// Whether path and query hold nothing that two programs read differently.
    private static func isClean(_ target: Substring) -> Bool {
        let path = target.prefix { $0 != "?" }
        guard path.isEmpty ? target.isEmpty : path.hasPrefix("/") else { return false }
        let allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:+,;=&%?"
        guard target.allSatisfy(allowed.contains) else { return false }
        let segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        return segments.dropLast().allSatisfy { !$0.isEmpty } && !segments.contains { $0 == "." || $0 == ".." }
    }
}
