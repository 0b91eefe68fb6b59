// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import HTTPServer
import NIOCore
import NIOPosix
import StackSupport
import Telemetry

/// A real listener on a free port of the loopback, which answers `GET /` with a few bytes.
struct Loopback {
    let listener: HTTPListener
    let connections: Connections
    let metrics = Metrics()

    var port: UInt16 { UInt16(listener.address.port ?? 0) }

    static let request = "GET / HTTP/1.1\r\nHost: loopback\r\n\r\n"

    /// Runs `body` with the listener, and closes that.
    static func run(
        countMax: Int = 64, countPerClientMax: Int? = nil, certificate: ServerCertificate? = nil,
        times: HeadDeadline.Limits = HeadDeadline.Limits(),
        makeHandler: @escaping @Sendable (any Channel) -> any ChannelInboundHandler = { _ in
            StatusHandler(routes: StatusRoutes(["/": { StatusRoutes.Answer(status: 200, body: "here\n") }]))
        },
        _ body: (Loopback) async throws -> Void
    ) async throws {
        let connections = Connections(countMax: countMax, countPerClientMax: countPerClientMax)
        let listener = try await HTTPListener.bind(
            host: "127.0.0.1", port: 0, group: MultiThreadedEventLoopGroup.singleton, certificate: certificate,
            connections: connections, times: times, makeHandler: makeHandler)
        let loopback = Loopback(listener: listener, connections: connections)
        connections.report(to: loopback.metrics, program: "edge", listener: "blobs")
        do {
            try await body(loopback)
        } catch {
            await listener.drain(deadline: .zero)
            throw error
        }
        await listener.drain(deadline: .zero)
    }

    func socket() throws -> Socket { try Socket(host: "127.0.0.1", port: port, limit: .seconds(20)) }
}

extension Socket {
    func send(_ text: String) throws { try send(Data(text.utf8)) }

    /// The answer to one `GET /`.
    func answer() throws -> String {
        var text = ""
        while !text.hasSuffix("here\n") {
            let part = try receive()
            if part.isEmpty { return text }
            text += String(decoding: part, as: UTF8.self)
        }
        return text
    }

    /// Requests and answers until then, for tests of what takes time.
    func passTime(until end: ContinuousClock.Instant) throws {
        while ContinuousClock.now < end {
            try send(Loopback.request)
            _ = try answer()
        }
    }

    /// Whether the peer has closed, whichever way, before it sent anything. It has as long as the socket's limit.
    func isClosed() -> Bool {
        do {
            return try receive().isEmpty
        } catch {
            return !"\(error)".contains(String(cString: strerror(EAGAIN)))
        }
    }
}

extension Metrics {
    /// Connections that were closed without an answer for this reason.
    func closedCount(_ reason: String) -> Int? {
        let name = #"depot_edge_connections_closed_total{listener="blobs",reason="\#(reason)"} "#
        let line = exposition().split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.dropFirst(name.count)) }
    }
}
