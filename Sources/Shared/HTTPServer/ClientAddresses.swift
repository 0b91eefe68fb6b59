// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Whose request it is: the peer, or whom a proxy that the operator named says it speaks for.
///
/// `X-Forwarded-For` counts only from such a proxy, and of it only what such proxies added: from the right, the first
/// address that is none of them. Anything in front of that the client may have written itself.
package struct ClientAddresses: Sendable {
    private static let fieldCountMax = 32

    private let proxies: [AddressBlock]

    /// - Parameter proxies: Empty: the header is ignored.
    package init(proxies: [AddressBlock] = []) { self.proxies = proxies }

    /// - Parameters:
    ///   - peer: Address of the connection, without a port; `nil` for what is no IP address.
    ///   - forwardedFor: All values of the header.
    /// - Returns: An address in its usual form, or `unknown`.
    package func client(peer: String?, forwardedFor: [String]) -> String {
        guard let peer else { return "unknown" }
        guard !proxies.isEmpty, isProxy(peer) else { return peer }
        let hops = forwardedFor.flatMap { $0.split(separator: ",") }.suffix(Self.fieldCountMax).reversed()
        var client = peer
        for hop in hops {
            let text = hop.filter { $0 != " " && $0 != "\t" }
            guard let address = try? SocketAddress(ipAddress: text, port: 0).ipAddress else { break }
            client = address
            if !isProxy(address) { break }
        }
        return client
    }

    private func isProxy(_ address: String) -> Bool { proxies.contains { $0.contains(address) } }
}

/// `ADDRESS` or `ADDRESS/LENGTH`, IPv4 or IPv6 (RFC 4632, RFC 4291 §2.3).
package struct AddressBlock: Sendable, Hashable {
    private let bytes: [UInt8]
    private let bitCount: Int

    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = parts.first.flatMap({ Self.bytes(of: String($0)) }) else { return nil }
        let isV4 = bytes.starts(with: Self.mapped)
        var bitCount = 128
        if parts.count == 2 {
            let digits = parts[1]
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(digits),
                length <= (isV4 ? 32 : 128)
            else { return nil }
            bitCount = isV4 ? length + 96 : length
        }
        self.bytes = bytes
        self.bitCount = bitCount
    }

    package func contains(_ address: String) -> Bool {
        guard let other = Self.bytes(of: address) else { return false }
        for index in 0..<(bitCount / 8) where bytes[index] != other[index] { return false }
        guard bitCount % 8 != 0 else { return true }
        let mask = UInt8(truncatingIfNeeded: 0xFF << (8 - bitCount % 8))
        return bytes[bitCount / 8] & mask == other[bitCount / 8] & mask
    }

    /// ::ffff:0:0/96, the form in which IPv4 addresses are kept.
    private static let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF]

    private static func bytes(of text: String) -> [UInt8]? {
        guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return nil }
        let raw = address.withSockAddr { Array(UnsafeRawBufferPointer(start: $0, count: $1)) }
        switch address {
        case .v4: return mapped + raw[4..<8]
        case .v6: return Array(raw[8..<24])
        case .unixDomainSocket: return nil
        }
    }
}
