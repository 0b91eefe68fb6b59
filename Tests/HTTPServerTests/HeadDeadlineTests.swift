// SPDX-License-Identifier: Apache-2.0

import Foundation
import HTTPServer
import NIOCore
import StackSupport
import Testing

/// Clients that do not bring their request, over real sockets. Each waits for the close of its own connection, which the
/// limits of the sockets bound.
@Suite(.timeLimit(.minutes(1))) struct HeadDeadlineTests {
    private static let short = TimeAmount.milliseconds(100)
    private static let long = TimeAmount.hours(1)

    private func limits(head: TimeAmount, idle: TimeAmount) -> HeadDeadline.Limits {
        var limits = HeadDeadline.Limits()
        limits.headTime = head
        limits.idleTime = idle
        return limits
    }

    @Test("a connection that sends nothing ends after the idle time")
    func silence() async throws {
        try await Loopback.run(times: limits(head: Self.long, idle: Self.short)) { server in
            let isClosed = try await onThread { try server.socket().isClosed() }
            #expect(isClosed)
            await server.connections.waitUntilEmpty()
            #expect(server.metrics.closedCount("head") == 1)
        }
    }

    @Test(
        "a head that stays in pieces ends its connection, whatever the pieces are",
        arguments: [
            ["G"], ["GET / HTTP/1.1\r\n"], ["GET / HTTP/1.1\r\nHost: loopback\r\n", "X-A: 1\r\n", "X-B: 2\r\n"],
            [Loopback.request + "GET"],
        ])
    func pieces(parts: [String]) async throws {
        try await Loopback.run(times: limits(head: Self.short, idle: Self.long)) { server in
            let rest = try await onThread {
                let socket = try server.socket()
                for part in parts { try socket.send(part) }
                var rest = ""
                while let more = try? socket.receive(), !more.isEmpty { rest += String(decoding: more, as: UTF8.self) }
                return rest
            }
            #expect(rest.isEmpty || rest.hasSuffix("here\n"))
            await server.connections.waitUntilEmpty()
            #expect(server.metrics.closedCount("head") == 1)
        }
    }

    @Test("further bytes do not move the deadline")
    func crumbs() async throws {
        try await Loopback.run { other in
            try await Loopback.run(times: limits(head: Self.short, idle: Self.long)) { server in
                let isClosed = try await onThread {
                    let socket = try server.socket()
                    let pace = try other.socket()
                    try socket.send("GET / HTTP/1.1\r\nX: ")
                    // As much as a field may have, over some seconds.
                    for _ in 0..<4000 {
                        try pace.passTime(until: .now + .milliseconds(1))
                        if (try? socket.send("x")) == nil { return true }
                    }
                    return false
                }
                #expect(isClosed, "the server took every crumb")
                await server.connections.waitUntilEmpty()
                #expect(server.metrics.closedCount("head") == 1)
            }
        }
    }

    @Test("a whole head is in time, also in two pieces that split its end, and the connection lives on")
    func whole() async throws {
        // The deadlines of two others pass, which shows that time has passed for the first as well.
        try await Loopback.run(times: limits(head: .seconds(1), idle: .seconds(1))) { server in
            let (answers, othersAreClosed) = try await onThread {
                let kept = try server.socket()
                try kept.send(Data(Loopback.request.utf8.dropLast(1)))
                try kept.send("\n")
                let first = try kept.answer()
                let others = [try server.socket().isClosed(), try server.socket().isClosed()]
                try kept.send(Loopback.request)
                return ([first, try kept.answer()], others)
            }
            #expect(answers.allSatisfy { $0.hasSuffix("here\n") })
            #expect(othersAreClosed == [true, true])
        }
    }

    @Test("a TLS handshake that does not end is a head that does not come")
    func handshake() async throws {
        let scratch = try ScratchDirectory("handshake")
        let issued = try await CertificateAuthority(scratch.path("tls")).issue("server", for: ["IP:127.0.0.1"])
        let certificate = try ServerCertificate(certificatePath: issued.certificatePath, keyPath: issued.keyPath)
        // Nothing, and the beginning of a record that is to hold 512 bytes of a ClientHello.
        for bytes: [UInt8] in [[], [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03]] {
            let times = limits(head: Self.short, idle: Self.long)
            try await Loopback.run(certificate: certificate, times: times) { server in
                try await onThread {
                    let socket = try server.socket()
                    try socket.send(Data(bytes))
                    // Perhaps a word of TLS first, then the end.
                    while !socket.isClosed() {}
                }
                await server.connections.waitUntilEmpty()
                #expect(server.metrics.closedCount("head") == 1)
            }
        }
    }
}
