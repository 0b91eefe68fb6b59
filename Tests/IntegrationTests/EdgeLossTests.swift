// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension Integration {
    /// A pull goes on when any edge dies.
    @Suite("Loss of edges", .stack(edges: 2))
    struct EdgeLoss {
        /// The redirect of a blob, or nil if the origin serves it itself.
        private func redirect(of blob: TestBlob, _ repository: Repository) async throws -> EdgeLink? {
            let answer = try await repository.ask("HEAD", "blobs/\(blob.digest)")
            try #require(answer.status == 200)
            let connection = try HTTPConnection(to: repository.system.origin)
            try await connection.send(repository.request("GET", "blobs/\(blob.digest)"))
            let head = try await connection.readHead()
            return try head.status == 307 ? EdgeLink(url: #require(head["location"])) : nil
        }

        @Test("kill -9 in the middle of a transfer: FIN, another edge within a second, then the origin itself")
        func killedEdges() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("loss")
            let blob = try await repository.pushedBlob(sizeBytes: 64 * .mebibyte)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)

            let reader = try HTTPConnection(to: link.endpoint, receiveBufferBytes: 64 * 1024)
            try await reader.send(HTTPRequest(link.target))
            let head = try await reader.readHead()
            let start = try await reader.readPart(bytes: .mebibyte)
            let killedAt = ContinuousClock.now
            try await ObservedProcess(edge.pid).killNow()
            var next = try await redirect(of: blob, repository)
            while next?.endpoint == link.endpoint, ContinuousClock.now - killedAt < .seconds(10) {
                next = try await redirect(of: blob, repository)
            }
            #expect(ContinuousClock.now - killedAt < .seconds(1), "a closed control connection counts at once")

            let rest = try await reader.readBody(of: head)
            #expect(rest.ending == .fin)
            let received = start.count + rest.bodyBytes
            #expect(received < blob.sizeBytes)
            #expect(blob.contains(start) && blob.contains(rest.body, at: start.count))

            let second = try #require(next, "the other edge takes over")
            let resumed = try await second.get([("Range", "bytes=\(received)-")])
            #expect(resumed.status == 206)
            #expect(resumed.bodyBytes == blob.sizeBytes - received && blob.contains(resumed.body, at: received))

            try await ObservedProcess(system.edge(of: second).pid).killNow()
            try await waitUntil("the origin serves by itself", within: .seconds(1)) {
                try await redirect(of: blob, repository) == nil
            }
            let direct = try await repository.ask("GET", "blobs/\(blob.digest)", isKept: false)
            #expect(direct.status == 200)
            #expect(direct.digest == blob.digest)

            try await stack.up()
            #expect(try await redirect(of: blob, repository)?.endpoint == link.endpoint, "back in its place")
            #expect(try await repository.link(to: blob).get(isKept: false).digest == blob.digest)
        }

        @Test("kill -9 in the middle of a fill: what is on disk is right, and the fill goes on after a restart")
        func killedDuringFill() async throws {
            let stack = try currentStack()
            let repository = try System(stack).repository("loss")
            for readBytes in [1, 5 * .mebibyte, 30 * .mebibyte] {
                let system = try System(stack)
                let blob = try await repository.pushedBlob(sizeBytes: 48 * .mebibyte)
                let link = try await repository.link(to: blob)
                let reader = try HTTPConnection(to: link.endpoint)
                try await reader.send(HTTPRequest(link.target))
                _ = try await reader.readHead()
                _ = try await reader.readPart(bytes: readBytes)
                try await ObservedProcess(system.edge(of: link).pid).killNow()
                try await stack.up()
                let again = try await repository.link(to: blob).get(isKept: false)
                #expect(again.ending == .complete)
                #expect(again.digest == blob.digest)
            }
        }

        @Test("SIGTERM: no new redirects, running transfers end well, then the process ends")
        func drainedEdge() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("loss")
            let blob = try await repository.pushedBlob(sizeBytes: 64 * .mebibyte)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            let reader = try HTTPConnection(to: link.endpoint, receiveBufferBytes: 64 * 1024)
            try await reader.send(HTTPRequest(link.target))
            let head = try await reader.readHead()
            let start = try await reader.readPart(bytes: .mebibyte)
            try #require(kill(edge.pid, SIGTERM) == 0)
            try await waitUntil("the edge is out of rotation", within: .seconds(5)) {
                try await redirect(of: blob, repository)?.endpoint != link.endpoint
            }
            let rest = try await reader.readBody(of: head)
            #expect(start.count + rest.bodyBytes == blob.sizeBytes)
            #expect(blob.contains(rest.body, at: start.count))
            try await waitUntil("the edge ends", within: .seconds(20)) { !ObservedProcess(edge.pid).isAlive }
            try await stack.up()
        }

        @Test("with the origin away an edge serves what it has, also after a restart")
        func edgeAlone() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let blob = try await system.repository("loss").pushedBlob(sizeBytes: 9 * .mebibyte)
            let cold = try await system.repository("loss").pushedBlob(sizeBytes: 9 * .mebibyte)
            let link = try await system.repository("loss").link(to: blob)
            let coldLink = try await system.repository("loss").link(to: cold)
            let edge = try system.edge(of: link)
            #expect(try await link.get(isKept: false).digest == blob.digest)
            _ = try await StoredFile.complete(blob, at: edge)
            let commandLine = try ObservedProcess(edge.pid).commandLine()

            try await ObservedProcess(system.description.originPid).killNow()
            #expect(try await link.get(isKept: false).digest == blob.digest)
            let unavailable = try await coldLink.get()
            #expect((500..<600).contains(unavailable.status), "an origin that is away is no 404")

            try await ObservedProcess(edge.pid).killNow()
            let restarted = try Command(commandLine, limit: .seconds(60)).start()
            do {
                try await waitUntil("the edge serves again", within: .seconds(10)) {
                    (try? await link.get(isKept: false).digest) == blob.digest
                }
            } catch {
                try await restarted.stop()
                throw error
            }
            try await restarted.stop()
            try await stack.up()
            #expect(try await coldLink.get(isKept: false).digest == cold.digest)
        }
    }
}
