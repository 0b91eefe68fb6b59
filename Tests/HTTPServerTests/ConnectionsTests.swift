// SPDX-License-Identifier: Apache-2.0

import HTTPServer
import NIOCore
import StackSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ConnectionsTests {
    /// Connections that are open at once, and have been answered.
    private func answered(_ server: Loopback, count: Int) throws -> [Socket] {
        try (0..<count).map { _ in
            let socket = try server.socket()
            try ask(socket)
            return socket
        }
    }

    /// - Throws: Unless a whole answer comes.
    private func ask(_ socket: Socket) throws {
        try socket.send(Loopback.request)
        guard try socket.answer().hasSuffix("here\n") else { throw NoAnswer() }
    }

    private struct NoAnswer: Error {}

    @Test(
        "one connection too many is closed at once and counted; the others do not notice",
        arguments: [(2, nil, "full"), (64, 2, "address")])
    func full(countMax: Int, countPerClientMax: Int?, reason: String) async throws {
        try await Loopback.run(countMax: countMax, countPerClientMax: countPerClientMax) { server in
            let refusals = try await onThread {
                let kept = try answered(server, count: 2)
                let refusals = try (0..<3).map { _ in
                    let refused = try server.socket()
                    try? refused.send(Loopback.request)
                    return refused.isClosed()
                }
                for socket in kept { try ask(socket) }
                return refusals
            }
            #expect(refusals == [true, true, true])
            await server.connections.waitUntilEmpty()
            let again = try await onThread { try answered(server, count: 2).count }
            #expect(again == 2, "what has closed makes room")
            #expect(server.metrics.closedCount(reason) == 3)
        }
    }

    @Test(
        "a client is an IPv4 address, mapped into IPv6 or not, or the /64 of an IPv6 one",
        arguments: [
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true), ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ])
    func clients(first: String, second: String, isSame: Bool) throws {
        let networks = try [first, second].map { ClientNetwork(try SocketAddress(ipAddress: $0, port: 1)) }
        #expect(networks[0] != nil && (networks[0] == networks[1]) == isSame)
        #expect(ClientNetwork(try SocketAddress(unixDomainSocketPath: "/run/a")) == nil && ClientNetwork(nil) == nil)
    }
}
