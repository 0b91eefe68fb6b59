// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Whose connection or request it is, as far as a limit per address can tell: an IPv4 address, or the /64 of an IPv6 one,
/// since a single customer has all of that.
package enum ClientNetwork: Hashable, Sendable {
    /// The address's four bytes.
    case v4(UInt32)
    /// The address's first eight bytes.
    case v6(UInt64)

    /// - Returns: `nil` for what is no IP address.
    package init?(_ address: SocketAddress?) {
        guard
            let network = address?.withSockAddr({ Self.network(UnsafeRawBufferPointer(start: $0, count: $1), address) })
        else { return nil }
        self = network
    }

    /// - Parameter address: As text, without a port.
    /// - Returns: `nil` for what is no IP address.
    package init?(_ address: String) { self.init(try? SocketAddress(ipAddress: address, port: 0)) }

    /// - Parameter bytes: `sockaddr_in`, whose address is at byte 4, or `sockaddr_in6`, where it is at byte 8.
    private static func network(_ bytes: UnsafeRawBufferPointer, _ address: SocketAddress?) -> ClientNetwork? {
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch address {
        case .v4: return .v4(UInt32(number(4..<8)))
        case .v6:
            // ::ffff:a.b.c.d: a listener on [::] sees IPv4 clients so.
            let isMapped = number(8..<16) == 0 && number(16..<20) == 0xFFFF
            return isMapped ? .v4(UInt32(number(20..<24))) : .v6(number(8..<16))
        case .unixDomainSocket, nil: return nil
        }
    }
}
