// SPDX-License-Identifier: Apache-2.0

/// Tells addresses of the public Internet from all others: what a host may have that somebody else named.
///
/// Follows the IANA registries of special-purpose addresses (RFC 6890): what they do not call globally reachable is not
/// public here. IPv6 addresses that carry an IPv4 address are refused whatever they carry, since a translator on the way
/// decides where they lead; a network without IPv4 that reaches the rest by NAT64 has to name its hosts.
package enum PublicAddress {
    package enum Kind: Sendable, Equatable {
        case isPublic
        /// Unspecified, loopback, private, shared (CGNAT), link-local, documentation, reserved: not of the Internet.
        case special
        case multicast
        /// Mapped, compatible, 6to4, Teredo, NAT64 or ISATAP.
        case embedsIPv4
        /// Neither IPv4 nor IPv6.
        case unknown

        /// What the host has, for an error.
        var words: String {
            switch self {
            case .isPublic: "a public address"
            case .special: "an address that is not public"
            case .multicast: "a multicast address"
            case .embedsIPv4: "an IPv6 address that embeds an IPv4 address"
            case .unknown: "an address of an unknown family"
            }
        }
    }

    /// - Parameter address: In network order: 4 bytes of IPv4, 16 of IPv6.
    package static func kind(of address: [UInt8]) -> Kind {
        switch address.count {
        case 4: kindOfIPv4(address)
        case 16: kindOfIPv6(address)
        default: .unknown
        }
    }

    private struct Block: Sendable {
        let prefix: [UInt8]
        let bitCount: Int

        func contains(_ address: [UInt8]) -> Bool {
            let wholeCount = bitCount / 8
            guard address.prefix(wholeCount) == prefix.prefix(wholeCount) else { return false }
            let mask = UInt8(truncatingIfNeeded: 0xff00 >> (bitCount % 8))
            return mask == 0 || address[wholeCount] & mask == prefix[wholeCount] & mask
        }
    }

    private static func block(_ prefix: UInt8..., bits: Int) -> Block { Block(prefix: prefix, bitCount: bits) }

    private static let specialIPv4 = [
        block(0, bits: 8),  // "this network", RFC 791
        block(10, bits: 8),  // private, RFC 1918
        block(100, 64, bits: 10),  // shared by carriers (CGNAT), RFC 6598
        block(127, bits: 8),  // loopback, RFC 1122
        block(169, 254, bits: 16),  // link-local, where clouds serve metadata, RFC 3927
        block(172, 16, bits: 12),  // private, RFC 1918
        block(192, 0, 0, bits: 24),  // protocol assignments, RFC 6890
        block(192, 0, 2, bits: 24),  // documentation, RFC 5737
        block(192, 88, 99, bits: 24),  // 6to4 relays, RFC 7526
        block(192, 168, bits: 16),  // private, RFC 1918
        block(198, 18, bits: 15),  // benchmarks, RFC 2544
        block(198, 51, 100, bits: 24),  // documentation, RFC 5737
        block(203, 0, 113, bits: 24),  // documentation, RFC 5737
        block(240, bits: 4),  // reserved, and broadcast, RFC 1112
    ]

    /// Inside of 2000::/3; everything outside is special.
    private static let specialIPv6 = [
        block(0x20, 0x01, 0x00, bits: 23),  // protocol assignments, RFC 2928; Teredo is told apart before
        block(0x20, 0x01, 0x0d, 0xb8, bits: 32),  // documentation, RFC 3849
        block(0x3f, 0xff, 0x00, bits: 20),  // documentation, RFC 9637
    ]

    private static let embeddingIPv6 = [
        Block(prefix: [UInt8](repeating: 0, count: 10) + [0xff, 0xff], bitCount: 96),  // mapped, RFC 4291
        block(0x00, 0x64, 0xff, 0x9b, bits: 32),  // NAT64, RFC 6052 and RFC 8215
        block(0x20, 0x01, 0x00, 0x00, bits: 32),  // Teredo, RFC 4380
        block(0x20, 0x02, bits: 16),  // 6to4, RFC 3056
    ]

    private static func kindOfIPv4(_ address: [UInt8]) -> Kind {
        if block(224, bits: 4).contains(address) { return .multicast }
        return specialIPv4.contains { $0.contains(address) } ? .special : .isPublic
    }

    private static func kindOfIPv6(_ address: [UInt8]) -> Kind {
        if address[0] == 0xff { return .multicast }
        if embeddingIPv6.contains(where: { $0.contains(address) }) || isCompatible(address) || isISATAP(address) {
            return .embedsIPv4
        }
        guard block(0x20, bits: 3).contains(address) else { return .special }
        return specialIPv6.contains { $0.contains(address) } ? .special : .isPublic
    }

    /// RFC 4291, section 2.5.5.1: 96 zeros, then an IPv4 address; `::` and `::1` are not of them.
    private static func isCompatible(_ address: [UInt8]) -> Bool {
        address.prefix(12).allSatisfy { $0 == 0 } && address[12...].dropLast().contains { $0 != 0 }
    }

    /// RFC 5214, section 6.1: the interface identifier is `[02]00:5efe` and an IPv4 address.
    private static func isISATAP(_ address: [UInt8]) -> Bool {
        [0x00, 0x02].contains(address[8]) && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe
    }
}
