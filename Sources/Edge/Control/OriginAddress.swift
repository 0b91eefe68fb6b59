// SPDX-License-Identifier: Apache-2.0

/// Where an origin listens: scheme, host, and port. Paths are signed as they are, so there is no base path.
package struct OriginAddress: Hashable, Sendable, CustomStringConvertible {
    /// Without a slash at the end.
    package let text: String
    package let isPlainHTTP: Bool
    package let isLoopback: Bool

    /// Longest URL taken from an origin, in bytes.
    private static let bytesMax = 512

    /// - Returns: `nil` unless it is `http` or `https`, `://`, a host with or without a port, and at most one slash.
    package init?(_ url: String) {
        guard url.utf8.count <= Self.bytesMax, let colon = url.firstIndex(of: ":") else { return nil }
        let scheme = url[..<colon].lowercased()
        var rest = url[colon...]
        guard scheme == "http" || scheme == "https", rest.hasPrefix("://") else { return nil }
        rest = rest.dropFirst(3)
        if rest.last == "/" { rest = rest.dropLast() }
        guard !rest.isEmpty, rest.utf8.allSatisfy(Self.isAuthorityByte) else { return nil }
        let host = Self.host(of: rest)
        guard !host.isEmpty else { return nil }
        text = "\(scheme)://\(rest.lowercased())"
        isPlainHTTP = scheme == "http"
        isLoopback = Self.isLoopback(host.lowercased())
    }

    /// Plain http shows links and keys to whoever listens, and lets them be changed: only where nobody can.
    package func isAdmissible(allowsPlainHTTP: Bool) -> Bool {
        !isPlainHTTP || isLoopback || allowsPlainHTTP
    }

    package var description: String { text }

    private static func host(of authority: Substring) -> Substring {
        if authority.first == "[" { return authority.prefix { $0 != "]" }.dropFirst() }
        return authority.prefix { $0 != ":" }
    }

    private static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// No `@`: credentials have no place here, and would hide the host from a reader.
    private static func isAuthorityByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: ".-:[]".utf8.contains(byte)
        }
    }
}
