// SPDX-License-Identifier: Apache-2.0

import Grammar
import OCI
import StackSupport
import Testing

extension Integration {
    /// Connections that cost a server more than the client: many of them, and slow ones.
    @Suite("Slow and many clients")
    struct SlowClients {
        @Test("a head in crumbs ends its connection after 15 s; an upload as slow goes on")
        func crumbs() async throws {
            try await withOwnStack(edges: 1) { stack in
                let system = try System(stack)
                let repository = system.repository("slow")
                let location = try await repository.startUpload()
                let upload = try HTTPConnection(to: system.origin)
                try await upload.sendHead(
                    of: repository.request("PATCH", location, headers: [("Transfer-Encoding", "chunked")]))
                let edge = try #require(Endpoint(url: system.edges[0].url))
                let slow = try [system.origin, edge, system.admin].map { try HTTPConnection(to: $0) }
                for connection in slow { try await connection.send(Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8)) }
                let start = ContinuousClock.now
                var closedAfter: [Duration] = []
                var open = slow
                try await waitUntil("the slow connections are closed", within: .seconds(40)) {
                    try await upload.sendChunk([1])
                    var left: [HTTPConnection] = []
                    for connection in open {
                        // A send that succeeds says little; input means FIN or RST here, since no answer is due.
                        try? await connection.send([UInt8(ascii: "x")])
                        if await connection.hasInput {
                            closedAfter.append(ContinuousClock.now - start)
                        } else {
                            left.append(connection)
                        }
                    }
                    open = left
                    return open.isEmpty
                }
                for time in closedAfter { #expect(time > .seconds(14) && time < .seconds(25), "closed after \(time)") }
                try await upload.sendChunk([])
                #expect(try await upload.readAnswer(to: "PATCH").status == 202)
                for (page, name) in [
                    (system.edges[0].adminUrl, "depot_edge_connections_closed_total"),
                    (system.description.origins[0].adminUrl, "depot_origin_connections_closed_total"),
                ] {
                    #expect(try await MetricsPage.read(page).sum(name, ["reason": "head"]) == 1)
                }
            }
        }

        @Test("one address has so many connections at origin and edge, and no more")
        func connectionsOfOneAddress() async throws {
            let environment = ["DEPOT_CONNECTION_COUNT_PER_ADDRESS_MAX": "8"]
            try await withOwnStack(edges: 1, environment: environment) { stack in
                let system = try System(stack)
                let edge = try #require(Endpoint(url: system.edges[0].url))
                for (endpoint, page, program) in [
                    (system.origin, system.description.origins[0].adminUrl, "origin"),
                    (edge, system.edges[0].adminUrl, "edge"),
                ] {
                    var kept: [HTTPConnection] = []
                    for _ in 0..<12 {
                        let connection = try HTTPConnection(to: endpoint)
                        // Any answer will do: it says that the connection was let in.
                        let answer = try? await connection.answer(to: HTTPRequest("/nothing"))
                        guard answer != nil else { break }
                        kept.append(connection)
                    }
                    // The edge itself holds connections to the origin.
                    #expect((1...8).contains(kept.count), "\(kept.count) at the \(program)")
                    let metrics = try await MetricsPage.read(page)
                    #expect(metrics.sum("depot_\(program)_connections_closed_total", ["reason": "address"]) >= 1)
                    let listener = program == "edge" ? "blobs" : "registry"
                    #expect((1...8).contains(metrics.sum("depot_\(program)_connections", ["listener": listener])))
                    kept = []
                    try await waitUntil("there is room again") {
                        (try? await ask(endpoint, HTTPRequest("/nothing"))) != nil
                    }
                }
                try await system.expectAlive()
            }
        }
    }
}
