// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension Integration {
    /// Rows of `Docs/faults.md` in which an edge fails, or what it stands on, or all of its clients at once.
    @Suite("Faults of edges", .stack(edges: 2))
    struct EdgeFaults {
        @Test("a cache directory that is deleted under a running edge costs hits, and nothing else")
        func deletedCache() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("deleted")
            let warm = try await repository.pushedBlob(sizeBytes: 9 * .mebibyte)
            let link = try await repository.link(to: warm)
            let edge = try system.edge(of: link)
            #expect(try await link.get(isKept: false).digest == warm.digest)
            _ = try await StoredFile.complete(warm, at: edge)

            for folder in ["c", "p"] { try FileManager.default.removeItem(atPath: "\(edge.cache)/\(folder)") }
            for _ in 1...2 { #expect(try await link.get(isKept: false).digest == warm.digest) }
            let cold = try await repository.pushedBlob(sizeBytes: 9 * .mebibyte)
            let coldLink = try EdgeLink(
                endpoint: link.endpoint,
                target: LinkMint(edge: edge, like: link).link(
                    to: cold.digest, sizeBytes: cold.sizeBytes, remaining: .seconds(300)
                ).target)
            #expect(try await coldLink.get(isKept: false).digest == cold.digest)
            #expect(ObservedProcess(edge.pid).isAlive)

            try await ObservedProcess(edge.pid).killNow()
            try await stack.up()
            #expect(try await coldLink.get(isKept: false).digest == cold.digest)
            _ = try await StoredFile.complete(cold, at: edge)
        }

        @Test("edges that fall silent: within the six seconds of a heartbeat the origin serves by itself")
        func silentEdges() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("silent")
            let blob = try await repository.pushedBlob(sizeBytes: .mebibyte)
            _ = try await repository.link(to: blob)
            for edge in system.edges { try #require(kill(edge.pid, SIGSTOP) == 0) }
            defer { for edge in system.edges { kill(edge.pid, SIGCONT) } }
            // The last heartbeat counts for six seconds, and a test may have to wait for a turn.
            try await waitUntil("the origin serves by itself", within: .seconds(7)) {
                let answer = try await repository.ask("GET", "blobs/\(blob.digest)")
                return answer.status == 200 && answer.body == blob.bytes
            }
            for edge in system.edges { try #require(kill(edge.pid, SIGCONT) == 0) }
            try await waitUntil("the edges are back", within: .seconds(60)) { try await system.edgesInRotation() == 2 }
            #expect(try await repository.link(to: blob).get().body == blob.bytes)
        }

        @Test("500 clients that hang up at once: their descriptors are free within a second, and the fill stops")
        func massHangUp() async throws {
            let system = try System(currentStack())
            let repository = system.repository("hang-up")
            let blob = try await repository.pushedBlob(sizeBytes: 160 * .mebibyte)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            @Sendable func openCount() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(edge.pid)/fd").count
            }
            #expect(try await link.get([("Range", "bytes=0-0")]).status == 206)
            let before = try openCount()
            try await onThread {
                let request = HTTPRequest(link.target).head(for: link.endpoint)
                var clients: [DeadlineSocket] = []
                for _ in 0..<500 {
                    let client = try DeadlineSocket(to: link.endpoint, limit: .seconds(60), receiveBufferBytes: 4096)
                    try request.withUnsafeBytes { try client.send($0) }
                    clients.append(client)
                }
                // Each has heard the beginning of its answer, so that it is in the middle of it.
                var byte: UInt8 = 0
                for client in clients {
                    let received = try withUnsafeMutableBytes(of: &byte) { try client.receive(into: $0) }
                    #expect(received == .bytes(1))
                }
                // The connection of the first request may have gone meanwhile, and some to the origin.
                #expect(try openCount() >= before + 490)
                clients.removeAll()
            }
            // Beside clients an edge may have gained connections to its origin, and the blob's file.
            try await waitUntil("the descriptors are free", within: .seconds(1)) { try openCount() <= before + 16 }

            let filledBytes = try await Traffic.of(system.description).fillBytes
            #expect(filledBytes < 120 * .mebibyte, "read-ahead follows readers, and there are none")
            let answer = try await link.get(isKept: false)
            #expect(answer.ending == .complete && answer.digest == blob.digest)
        }
    }

    /// Rows of `Docs/faults.md` in which programs are restarted, or their clocks are wrong.
    @Suite("Restarts and clocks")
    struct Restarts {
        @Test("an origin killed in the middle of a fill: FIN at once, 503 until it is back, and hits go on")
        func killedOrigin() async throws {
            try await withOwnStack(edges: 1) { stack in
                let system = try System(stack)
                let repository = system.repository("killed")
                let warm = try await repository.pushedBlob(sizeBytes: .mebibyte)
                let large = try await repository.pushedBlob(sizeBytes: 160 * .mebibyte)
                let cold = try await repository.pushedBlob(sizeBytes: .mebibyte)
                let warmLink = try await repository.link(to: warm)
                let coldLink = try await repository.link(to: cold)
                let largeLink = try await repository.link(to: large)
                #expect(try await warmLink.get().body == warm.bytes)

                let reader = try HTTPConnection(to: largeLink.endpoint, receiveBufferBytes: 64 * 1024)
                try await reader.send(HTTPRequest(largeLink.target))
                let head = try await reader.readHead()
                let start = try await reader.readPart(bytes: .mebibyte)
                try await ObservedProcess(system.description.originPid).killNow()
                let killedAt = ContinuousClock.now
                let rest = try await reader.readBody(of: head)
                #expect(rest.ending == .fin)
                #expect(ContinuousClock.now - killedAt < .seconds(5))
                #expect(large.contains(start) && large.contains(rest.body, at: start.count))
                let refused = try await coldLink.get()
                #expect(refused.status == 503)
                #expect(try await warmLink.get().body == warm.bytes)

                try await stack.up()
                try await waitUntil("pulls go on", within: .seconds(2)) {
                    try await coldLink.get().body == cold.bytes
                }
                let received = start.count + rest.bodyBytes
                let resumed = try await largeLink.get([("Range", "bytes=\(received)-")])
                #expect(resumed.status == 206 && large.contains(resumed.body, at: received))
                #expect(received + resumed.bodyBytes == large.sizeBytes)
            }
        }

        @Test("each program is stopped by SIGTERM and started again, one after the other, and no pull fails")
        func rollingRestart() async throws {
            try await withOwnStack(edges: 2, ["--origins", "2"]) { stack in
                let system = try System(stack)
                let repository = system.repository("rolling")
                let blobs = [
                    try await repository.pushedBlob(sizeBytes: 3 * .mebibyte),
                    try await repository.pushedBlob(sizeBytes: 20 * .mebibyte),
                ]
                let isOver = Flag()
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<4 {
                        group.addTask { try await Self.pulls(of: blobs, from: system, first: number, until: isOver) }
                    }
                    do {
                        for pid in system.edges.map(\.pid) + system.description.origins.map(\.pid) {
                            try #require(kill(pid, SIGTERM) == 0)
                            try await waitUntil("process \(pid) ends", within: .seconds(40)) {
                                !ObservedProcess(pid).isAlive
                            }
                            try await stack.up()
                        }
                    } catch {
                        isOver.raise()
                        throw error
                    }
                    isOver.raise()
                    for try await count in group { #expect(count > 10, "pulls of one client") }
                }
            }
        }

        /// Pulls one blob after the other as a client behind a load balancer would: an origin that takes no connection is
        /// passed over for the next one. Anything else that goes wrong is a failed pull.
        /// - Returns: How many pulls there were.
        private static func pulls(
            of blobs: [TestBlob], from system: System, first: Int, until isOver: Flag
        ) async throws -> Int {
            let repository = system.repository("rolling")
            let origins = system.description.origins.compactMap { Endpoint(url: $0.url) }
            var count = 0
            while !isOver.isUp {
                let blob = blobs[count % blobs.count]
                let request = repository.request("GET", "blobs/\(blob.digest)")
                var answer: Answer?
                for step in 0..<origins.count where answer == nil {
                    answer = try? await ask(origins[(first + count + step) % origins.count], request, isKept: false)
                }
                let redirect = try #require(answer, "no origin answers")
                var body = redirect
                if redirect.status == 307 {
                    body = try await EdgeLink(url: #require(redirect["location"])).get(isKept: false)
                }
                #expect(body.status == 200 && body.ending == .complete && body.digest == blob.digest)
                count += 1
            }
            return count
        }

        @Test("an edge whose clock is five minutes off gets no clients until it is right", arguments: [300, -300])
        func wrongClock(offsetSeconds: Int) async throws {
            try await withOwnStack(edges: 0) { stack in
                let system = try System(stack)
                let clock = try await ShiftedClock()
                let edge = try await startEdge(of: system, named: "clock", environment: clock.environment)
                do {
                    try await waitUntil("the edge is in rotation", within: .seconds(60)) {
                        try await system.edgesInRotation() == 1
                    }
                    let repository = system.repository("clock")
                    let blob = try await repository.pushedBlob(sizeBytes: .mebibyte)
                    let link = try await repository.link(to: blob)
                    #expect(try await link.get().body == blob.bytes)

                    try clock.set(offsetSeconds: offsetSeconds)
                    // To a clock that is behind, the link counts for longer than links do.
                    #expect(try await link.get().status == (offsetSeconds < 0 ? 403 : 200))
                    try await waitUntil("the origin sends nobody there", within: .seconds(10)) {
                        try await repository.ask("GET", "blobs/\(blob.digest)").status == 200
                    }
                    try clock.set(offsetSeconds: 0)
                    try await waitUntil("the edge is back", within: .seconds(60)) {
                        try await system.edgesInRotation() == 1
                    }
                    #expect(try await repository.link(to: blob).get().body == blob.bytes)
                } catch {
                    try await edge.stop()
                    throw error
                }
                try await edge.stop()
            }
        }
    }
}
