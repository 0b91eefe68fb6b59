// SPDX-License-Identifier: Apache-2.0

import OCI

/// Decides which `Host` values are this registry, and what each means.
///
/// Allowed are the host of the external URL, the domain and `ORG.<domain>`, the address the listener was given, and
/// loopback names. Any other host is refused: realm and service are built from it.
package struct HostPolicy: Sendable {
    private let external: BaseURL?
    private let domain: String?
    private let listenHost: String

    /// - Parameters:
    ///   - externalURL: `http[s]://HOST[:PORT]` as clients reach the registry; no path, query or credentials.
    ///   - domain: Domain below which each organization has a host of its own.
    ///   - listenHost: Host part of the listener's address.
    /// - Throws: `HostPolicyError` with one line for the operator.
    package init(externalURL: String?, domain: String?, listenHost: String) throws(HostPolicyError) {
        if let externalURL {
            guard let url = BaseURL(externalURL) else {
                throw HostPolicyError("external URL \"\(externalURL)\" is not http[s]://HOST[:PORT]")
            }
            external = url
        } else {
            external = nil
        }
        if let domain {
            let lowered = domain.lowercased()
            guard
                lowered.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({
                    OrganizationSlug($0) != nil
                })
            else { throw HostPolicyError("domain \"\(domain)\" is not a DNS name") }
            self.domain = lowered
        } else {
            self.domain = nil
        }
        self.listenHost = listenHost.lowercased()
    }

    /// The registry behind a `Host` value (or a `service` parameter); `nil` if it is not ours.
    package func resolve(_ authority: String?, isTLS: Bool) -> RegistryHost? {
        guard let authority, authority.utf8.count <= 261 else { return nil }
        let service = authority.lowercased()
        guard let host = Self.host(of: service) else { return nil }
        let realm = "\(external?.description ?? "\(isTLS ? "https" : "http")://\(service)")/token"
        if service == external?.authority || host == domain || host == listenHost || Self.isLoopback(host) {
            return RegistryHost(organization: nil, service: service, realm: realm)
        }
        guard let domain, host.hasSuffix(".\(domain)"),
            let organization = OrganizationSlug(host.dropLast(domain.utf8.count + 1))
        else { return nil }
        return RegistryHost(organization: organization, service: service, realm: realm)
    }

    /// Whether a blob host would share credentials with the registry: Go clients send `Authorization` again when a
    /// redirect stays on the host or goes to a subdomain of it.
    package func sharesCredentials(with blobHost: some StringProtocol) -> Bool {
        let blobHost = blobHost.lowercased()
        let registryHosts = [external?.host, domain, listenHost].compactMap(\.self)
        return blobHost == "localhost" || registryHosts.contains { blobHost == $0 || blobHost.hasSuffix(".\($0)") }
    }

    /// Host part of `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`; `nil` if it is none of them.
    package static func host(of authority: String) -> String? {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            let address = authority[authority.index(after: authority.startIndex)..<end]
            let isAddress = !address.isEmpty && address.utf8.allSatisfy(isV6Byte)
            return isAddress && isPort(authority[authority.index(after: end)...]) ? String(address) : nil
        }
        let host = authority.prefix { $0 != ":" }
        let isName = !host.isEmpty && host.utf8.count <= 253 && host.utf8.allSatisfy(isHostByte)
        return isName && isPort(authority[host.endIndex...]) ? String(host) : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard let colon = text.first else { return true }
        return colon == ":" && text.utf8.count > 1 && text.dropFirst().utf8.allSatisfy(isDigit)
            && UInt16(text.dropFirst()) != nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func isV6Byte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "."): true
        default: false
        }
    }

    private static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4 && octets[0] == "127" && octets.allSatisfy { UInt8($0) != nil }
    }
}

/// A setting about hosts that cannot be used; one line for the operator.
package struct HostPolicyError: Error, Sendable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}
