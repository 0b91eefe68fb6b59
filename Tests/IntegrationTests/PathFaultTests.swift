// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration {
    /// Rows of `Docs/faults.md` in which the path from an edge to its origin fails, or the origin behind it does.
    @Suite("Faults between origin and edge")
    struct PathFaults {
        /// A system with one edge behind a path, and a repository to pull from.
        private func withPath(
            _ body: (FaultyPath, Repository) async throws -> Void
        ) async throws {
            let path = try FaultyPath()
            try await withEdge(behind: path) { system in try await body(path, system.repository("faults")) }
        }

        /// As containerd does: what a broken answer lacks is asked for by range, until all of it is there.
        private func resumedPull(
            of blob: TestBlob, from link: EdgeLink, within limit: Duration
        ) async throws -> (bytes: [UInt8], answerCount: Int) {
            var bytes: [UInt8] = []
            var answerCount = 0
            try await waitUntil("all bytes have come", within: limit) {
                let headers = bytes.isEmpty ? [] : [("Range", "bytes=\(bytes.count)-")]
                let answer = try await link.get(headers)
                guard [200, 206].contains(answer.status) else { return false }
                #expect(answer.ending != .reset)
                #expect(blob.contains(answer.body, at: bytes.count))
                bytes += answer.body
                answerCount += 1
                return bytes.count >= blob.sizeBytes
            }
            return (bytes, answerCount)
        }

        @Test("a silent origin: hits go on, and a miss is answered within ten seconds")
        func silence() async throws {
            try await withPath { path, repository in
                let blobs = try await [100_000, 100_001].asyncMap { try await repository.pushedBlob(sizeBytes: $0) }
                let links = try await blobs.asyncMap { try await repository.link(to: $0) }
                #expect(try await links[0].get().body == blobs[0].bytes)

                path.beSilent(true)
                let start = ContinuousClock.now
                #expect(try await links[0].get().body == blobs[0].bytes)
                #expect(ContinuousClock.now - start < .seconds(1))
                let miss = try await links[1].get()
                #expect(miss.status == 503)
                #expect(ContinuousClock.now - start < .seconds(10))

                path.beSilent(false)
                try await waitUntil("the blob can be pulled", within: .seconds(10)) {
                    try await links[1].get().body == blobs[1].bytes
                }
            }
        }

        @Test("an origin at 100 KiB/s: bytes leave as they arrive, and nobody else waits for them")
        func slowness() async throws {
            try await withPath { path, repository in
                let warm = try await repository.pushedBlob(sizeBytes: 9 * .mebibyte)
                let cold = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte)
                let warmLink = try await repository.link(to: warm)
                #expect(try await warmLink.get(isKept: false).digest == warm.digest)
                path.limit(bytesPerSecond: 100 * .kibibyte)

                let reader = try await HTTPConnection(to: repository.link(to: cold).endpoint, limit: .seconds(240))
                try await reader.send(HTTPRequest(repository.link(to: cold).target))
                async let firstPieces = {
                    #expect(try await reader.readHead().status == 200)
                    return try await reader.readPart(bytes: 2 * .mebibyte)
                }()
                // A list of the pieces, and so much of the first that it is under way.
                try await waitUntil("bytes arrive") { path.blobBytes > 100 * .kibibyte }
                let start = ContinuousClock.now
                #expect(try await warmLink.get(isKept: false).digest == warm.digest)
                #expect(ContinuousClock.now - start < .seconds(1), "a hit beside it")
                let other = try await repository.pushedBlob(sizeBytes: 70_000)
                let otherStart = ContinuousClock.now
                #expect(try await repository.link(to: other).get().body == other.bytes)
                #expect(ContinuousClock.now - otherStart < .seconds(10), "a small miss beside it")
                let received = try await firstPieces
                #expect(cold.contains(received) && received.count == 2 * .mebibyte)
            }
        }

        @Test("an answer that stalls in the middle is left, and the rest comes by range")
        func stall() async throws {
            try await withPath { path, repository in
                let blob = try await repository.pushedBlob(sizeBytes: 7 * .mebibyte)
                path.spoil(.stall(afterBytes: 3 * .mebibyte + 300_000))
                let start = ContinuousClock.now
                let answer = try await repository.link(to: blob).get(isKept: false)
                #expect(path.isSpoilt)
                #expect(answer.ending == .complete && answer.digest == blob.digest)
                #expect(ContinuousClock.now - start < .seconds(20))
                #expect(path.blobRequestCount == 2)
                // What had come of the fourth piece comes again, and the heads.
                #expect(path.blobBytes <= blob.sizeBytes + 301_000)
            }
        }

        @Test("an answer that ends in the middle is taken up where it ended; one piece is the most that comes twice")
        func truncation() async throws {
            try await withPath { path, repository in
                let blob = try await repository.pushedBlob(sizeBytes: 30 * .mebibyte)
                path.spoil(.cut(afterBytes: 2 * .mebibyte + 500_000), count: 5)
                let answer = try await repository.link(to: blob).get(isKept: false)
                #expect(path.isSpoilt)
                #expect(answer.ending == .complete && answer.digest == blob.digest)
                #expect(path.blobBytes <= blob.sizeBytes + 5 * .mebibyte)
            }
        }

        @Test("answers that always end before a piece is whole: an error, nothing of it is kept, and it heals")
        func uselessAnswers() async throws {
            try await withPath { path, repository in
                let blob = try await repository.pushedBlob(sizeBytes: 10 * .mebibyte)
                let link = try await repository.link(to: blob)
                path.spoil(.cut(afterBytes: 600_000), count: .max)
                let first = try await link.get()
                #expect(first.status == 503, "no piece came, so no head has left")
                path.spoil(nil)
                #expect(try await link.get(isKept: false).digest == blob.digest)
            }
        }

        @Test("a path that is down every other second: pulls make progress, and no byte comes twice")
        func flapping() async throws {
            try await withPath { path, repository in
                let warm = try await repository.pushedBlob(sizeBytes: .mebibyte)
                let warmLink = try await repository.link(to: warm)
                #expect(try await warmLink.get().body == warm.bytes)
                let blob = try await repository.pushedBlob(sizeBytes: 48 * .mebibyte)
                let link = try await repository.link(to: blob)
                // So slow that it takes several of the seconds in which the path is up.
                path.limit(bytesPerSecond: 12 * .mebibyte)
                try await path.flapping(every: .seconds(1)) {
                    let pull = try await resumedPull(of: blob, from: link, within: .seconds(60))
                    #expect(blob.contains(pull.bytes) && pull.bytes.count == blob.sizeBytes)
                    #expect(try await warmLink.get().body == warm.bytes)
                }
                // Each of the few fetches that an outage cuts loses less than a piece.
                #expect(path.blobBytes <= blob.sizeBytes * 3 / 2)
                #expect(try await link.get(isKept: false).digest == blob.digest)
            }
        }
    }
}

extension Array {
    fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
