// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration.OneSystem {
    /// How containerd 2.x fetches layers: ranges without an end, of which it reads its share and hangs up.
    @Suite("Containerd's ranges", .everyProcessLives)
    struct ContainerdPattern {
        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("ranges")
        }

        /// Reads so many bytes of a range that goes on to the end, and hangs up in the middle of the rest.
        private static func part(_ count: Int, from offset: Int, of link: EdgeLink) async throws -> [UInt8] {
            let connection = try HTTPConnection(to: link.endpoint)
            try await connection.send(HTTPRequest(link.target, headers: [("Range", "bytes=\(offset)-")]))
            let head = try await connection.readHead()
            #expect(head.status == 206)
            return try await connection.readPart(bytes: count)
        }

        private func filledBytes() async throws -> Int { try await Traffic.of(system.description).fillBytes }

        /// Bytes that the origin sent to edges since then, once no more are under way.
        private func filledBytes(since before: Int) async throws -> Int {
            var latest = -1
            try await waitUntil("the fill rests", every: .milliseconds(300)) {
                let now = try await filledBytes()
                defer { latest = now }
                return now == latest
            }
            return latest - before
        }

        @Test("a layer in shares of 8 MiB, four at a time, without an end: each byte leaves the origin once")
        func parallelFetch() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 72 * .mebibyte + 4321)
            let link = try await repository.link(to: blob)
            let shareBytes = 8 * Int.mebibyte
            for isWarm in [false, true] {
                let before = try await filledBytes()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (number, offset) in stride(from: 0, to: blob.sizeBytes, by: shareBytes).enumerated() {
                        if number >= 4 { try await group.next() }
                        group.addTask {
                            let count = min(shareBytes, blob.sizeBytes - offset)
                            let part = try await Self.part(count, from: offset, of: link)
                            #expect(part.count == count && blob.contains(part, at: offset))
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await filledBytes(since: before) == (isWarm ? 0 : blob.sizeBytes))
            }
        }

        @Test("300 clients that take 64 KiB of a range without an end cost the origin a chunk and its read-ahead")
        func hangUps() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 160 * .mebibyte)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            let before = try await filledBytes()
            let fillsBefore = try await MetricsPage.read(edge.adminUrl).sum("depot_edge_fills_total")
            for _ in 0..<300 {
                let part = try await Self.part(64 * .kibibyte, from: 0, of: link)
                #expect(blob.contains(part))
            }
            // The chunk, and eight chunks of read-ahead.
            #expect(try await filledBytes(since: before) <= 72 * .mebibyte)
            let fills = try await MetricsPage.read(edge.adminUrl).sum("depot_edge_fills_total") - fillsBefore
            #expect(fills <= 2, "those who come back find the fill that was there")
        }
    }
}
