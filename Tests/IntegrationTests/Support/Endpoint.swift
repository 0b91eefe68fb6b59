// SPDX-License-Identifier: Apache-2.0

/// Where a server listens: an IPv4 address and a port.
struct Endpoint: Sendable, Equatable {
    let host: String
    let port: UInt16

    init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Parameter url: `http://ADDRESS:PORT`, perhaps with a path behind it.
    init?(url: String) {
        guard let split = Self.split(url: url) else { return nil }
        self = split.endpoint
    }

    /// `Host` header.
    var authority: String { "\(host):\(port)" }

    /// Takes an absolute URL apart; the target is exactly as written.
    static func split(url: String) -> (endpoint: Endpoint, target: String)? {
        guard url.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        let parts = authority.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { return nil }
        return (Endpoint(host: String(parts[0]), port: port), String(rest.dropFirst(authority.count)))
    }
}
