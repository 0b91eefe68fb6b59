// SPDX-License-Identifier: Apache-2.0

import Glibc
import HTTPFetch
import LoopbackServer
import Testing

/// Which hosts a request may reach that somebody else named.
@Suite(.timeLimit(.minutes(1)))
struct PublicAddressTests {
    struct Setup: Error {}

    private func bytes(_ text: String) throws -> [UInt8] {
        let isIPv6 = text.contains(":")
        var bytes = [UInt8](repeating: 0, count: isIPv6 ? 16 : 4)
        guard inet_pton(isIPv6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { throw Setup() }
        return bytes
    }

    @Test(
        "addresses of the Internet are public",
        arguments: [
            "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
            "140.82.112.3", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
            "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:200::1",
            "2a00:1450:4001:81b::200e", "3ffe::1",
        ])
    func publicAddresses(text: String) throws {
        #expect(PublicAddress.kind(of: try bytes(text)) == .isPublic)
    }

    @Test(
        "private, loopback, link-local, shared, documentation and reserved addresses are not",
        arguments: [
            "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
            "127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
            "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "240.0.0.1",
            "255.255.255.255", "::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "100::1",
            "2001:2::1", "2001:10::1", "2001:db8::1", "3fff::1", "4000::1",
        ])
    func specialAddresses(text: String) throws {
        #expect(PublicAddress.kind(of: try bytes(text)) == .special)
    }

    @Test("multicast is not", arguments: ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"])
    func multicast(text: String) throws {
        #expect(PublicAddress.kind(of: try bytes(text)) == .multicast)
    }

    @Test(
        "an IPv6 address that carries an IPv4 address is not, whatever it carries",
        arguments: [
            "::ffff:127.0.0.1", "::ffff:1.1.1.1", "::127.0.0.1", "::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
            "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001::1", "2001:0:a9fe::1", "2606:4700::5efe:127.0.0.1",
            "2606:4700::200:5efe:10.0.0.1",
        ])
    func embedded(text: String) throws {
        #expect(PublicAddress.kind(of: try bytes(text)) == .embedsIPv4)
    }

    @Test("other families are not", arguments: [0, 3, 5, 8, 17])
    func otherFamilies(count: Int) {
        #expect(PublicAddress.kind(of: [UInt8](repeating: 8, count: count)) == .unknown)
    }

    /// Names that resolve to the loopback, and forms of its address that only the resolver understands.
    @Test(
        "a request to public addresses does not connect to the loopback",
        arguments: ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]"])
    func loopback(host: String) async throws {
        let server = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("inside") else { return } }
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        let url = "http://\(host):\(server.port)/"
        let error = await #expect(throws: FetchError.self) {
            try await fetcher.collect(
                FetchRequest(.get, url, allowPlainHTTP: true, addresses: .publicOnly), bodyBytesMax: 100)
        }
        #expect(error?.kind == .connect)
        #expect(error?.message.contains("the host has an") == true)
        #expect(server.acceptCount == 0)
    }

    @Test("a pooled connection does not lead to an address that the request may not have")
    func pool() async throws {
        let server = try ScriptedServer { peer in
            while peer.request() != nil { guard peer.answer("inside") else { return } }
        }
        defer { server.close() }
        let fetcher = try Fetcher(name: "fetch")
        var request = FetchRequest(.get, server.url + "/", allowPlainHTTP: true)
        #expect(try await fetcher.collect(request, bodyBytesMax: 100).status == 200)
        request.addresses = .publicOnly
        await #expect(throws: FetchError.self) { try await fetcher.collect(request, bodyBytesMax: 100) }
        request.addresses = .any
        #expect(try await fetcher.collect(request, bodyBytesMax: 100).status == 200)
        #expect(server.acceptCount == 1)
    }
}
