// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration.OneSystem {
    /// Which blobs come from an edge and which from the origin, and how often the origin pays.
    @Suite("Who serves a blob", .everyProcessLives)
    struct WhoServes {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("serving")
        }

        /// What `body` costs. The last bytes may be counted a moment after they arrived.
        private func expectTraffic(
            _ expected: Traffic, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
        ) async throws {
            let before = try await Traffic.of(system.description)
            try await body()
            var traffic = Traffic()
            try? await waitUntil("the counters show it", within: .seconds(1)) {
                traffic = try await Traffic.of(system.description) - before
                return traffic == expected
            }
            #expect(traffic == expected, sourceLocation: sourceLocation)
        }

        @Test("up to 64 KiB the origin serves, from the next byte on an edge")
        func directServeLimit() async throws {
            let small = try await repository.pushedBlob(sizeBytes: 64 * .kibibyte)
            let large = try await repository.pushedBlob(sizeBytes: 64 * .kibibyte + 1)
            try await expectTraffic(Traffic(directBytes: small.sizeBytes)) {
                let answer = try await repository.ask("GET", "blobs/\(small.digest)")
                #expect(answer.status == 200)
                #expect(answer.body == small.bytes)
            }
            try await expectTraffic(Traffic(edgeBytes: large.sizeBytes, fillBytes: large.sizeBytes)) {
                let answer = try await repository.link(to: large).get()
                #expect(answer.body == large.bytes)
            }
        }

        @Test("Depot-Redirect: never gets the bytes from the origin", arguments: [100_000, 5_000_001])
        func redirectNever(sizeBytes: Int) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: sizeBytes)
            try await expectTraffic(Traffic(directBytes: blob.sizeBytes)) {
                let answer = try await repository.blobFromOrigin(blob.digest)
                #expect(answer.status == 200)
                #expect(answer.body == blob.bytes)
            }
        }

        @Test("HEAD is answered at the origin")
        func head() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 100_000)
            try await expectTraffic(Traffic()) {
                let answer = try await repository.ask("HEAD", "blobs/\(blob.digest)")
                #expect(answer.status == 200)
                #expect(answer["content-length"] == "\(blob.sizeBytes)")
                #expect(answer["docker-content-digest"] == "\(blob.digest)")
            }
        }

        @Test("one blob always leads to one edge, and many blobs to all of them")
        func spread() async throws {
            var edges: Set<String> = []
            for _ in 1...16 {
                let blob = try await repository.pushedBlob(sizeBytes: 70_000)
                let links = try await [repository.link(to: blob), repository.link(to: blob)]
                #expect(links[0].endpoint == links[1].endpoint)
                edges.insert(links[0].endpoint.authority)
            }
            #expect(edges.count == system.edges.count)
        }

        @Test("a second pull costs the origin nothing")
        func hit() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte + 5)
            let link = try await repository.link(to: blob)
            for fillBytes in [blob.sizeBytes, 0] {
                try await expectTraffic(Traffic(edgeBytes: blob.sizeBytes, fillBytes: fillBytes)) {
                    let answer = try await link.get(isKept: false)
                    #expect(answer.digest == blob.digest)
                }
            }
        }

        @Test("16 clients of one cold 64 MiB blob cost the origin its bytes once")
        func coalescing() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 64 * .mebibyte)
            let link = try await repository.link(to: blob)
            try await expectTraffic(Traffic(edgeBytes: 16 * blob.sizeBytes, fillBytes: blob.sizeBytes)) {
                try await withThrowingTaskGroup(of: Answer.self) { group in
                    for _ in 1...16 { group.addTask { try await link.get(isKept: false) } }
                    for try await answer in group {
                        #expect(answer.ending == .complete)
                        #expect(answer.digest == blob.digest)
                    }
                }
            }
        }

        @Test("a range in the middle of a cold blob costs no more than the chunk it lies in")
        func coldRange() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 64 * .mebibyte)
            let link = try await repository.link(to: blob)
            let start = 33 * Int.mebibyte
            // From the first byte that is wanted to the end of its chunk of 8 MiB.
            try await expectTraffic(Traffic(edgeBytes: .mebibyte, fillBytes: 7 * .mebibyte)) {
                let answer = try await link.get([("Range", "bytes=\(start)-\(start + .mebibyte - 1)")])
                #expect(answer.status == 206)
                #expect(blob.contains(answer.body, at: start) && answer.bodyBytes == .mebibyte)
            }
        }

        @Test("one who hangs up does not disturb the others")
        func hangUp() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 32 * .mebibyte)
            let link = try await repository.link(to: blob)
            let quitter = try HTTPConnection(to: link.endpoint)
            try await quitter.send(HTTPRequest(link.target))
            #expect(try await quitter.readHead().status == 200)
            async let stayer = link.get(isKept: false)
            _ = try await quitter.readPart(bytes: 100_000)
            await quitter.abort()
            let answer = try await stayer
            #expect(answer.ending == .complete)
            #expect(answer.digest == blob.digest)
        }
    }
}
