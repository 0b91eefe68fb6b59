// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration.OneSystem {
    /// No wrong byte is ever served: a bit is turned over in a file, behind the back of the program that owns it.
    @Suite("Damaged files", .everyProcessLives)
    struct DamagedFiles {
        static let sizeBytes = 9 * Int.mebibyte + 77

        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("damage")
        }

        enum Reading: String, Sendable, CaseIterable {
            case whole, range, suffix

            var header: [(name: String, value: String)] {
                switch self {
                case .whole: []
                case .range: [("Range", "bytes=5000000-7000000")]
                case .suffix: [("Range", "bytes=-1500000")]
                }
            }

            var bytes: Range<Int> {
                switch self {
                case .whole: 0..<sizeBytes
                case .range: 5_000_000..<7_000_001
                case .suffix: sizeBytes - 1_500_000..<sizeBytes
                }
            }

            /// In the middle of what is read.
            var damagedOffset: Int { (bytes.lowerBound + bytes.upperBound) / 2 }
        }

        @Test(
            "a byte that changed in an edge's cache reaches nobody; the client gets the right ones",
            arguments: StoredFile.Temperature.allCases, Reading.allCases)
        func damagedCache(temperature: StoredFile.Temperature, reading: Reading) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            for _ in 1...2 { #expect(try await link.get(isKept: false).digest == blob.digest) }
            let file = try await StoredFile.complete(blob, at: edge)
            let mismatches = try await system.mismatchedPieces(at: edge)

            try file.flip(at: reading.damagedOffset, temperature)
            for _ in 1...2 {
                let answer = try await link.get(reading.header)
                #expect(answer.ending == .complete)
                #expect(answer.bodyBytes == reading.bytes.count)
                #expect(blob.contains(answer.body, at: reading.bytes.lowerBound))
            }
            #expect(try await system.mismatchedPieces(at: edge) > mismatches)
            #expect(try await link.get(isKept: false).digest == blob.digest)
        }

        @Test(
            "a byte that changes while its connection is open and its pages are in memory is noticed",
            arguments: StoredFile.Temperature.allCases)
        func damagedUnderConnection(temperature: StoredFile.Temperature) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            let link = try await repository.link(to: blob)
            #expect(try await link.get(isKept: false).digest == blob.digest)
            let file = try await StoredFile.complete(blob, at: system.edge(of: link))
            let connection = try HTTPConnection(to: link.endpoint)
            for round in 0..<6 {
                try file.flip(at: 1_000_003 * (round + 1), temperature)
                let answer = try await connection.answer(to: HTTPRequest(link.target), isKept: false)
                #expect(answer.ending == .complete)
                #expect(answer.digest == blob.digest, "round \(round)")
            }
        }

        @Test(
            "a byte that changed in a blob of which the edge has a part reaches nobody",
            arguments: StoredFile.Temperature.allCases)
        func damagedPart(temperature: StoredFile.Temperature) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 40 * .mebibyte)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            #expect(try await link.get([("Range", "bytes=100-2000000")]).status == 206)
            let file = try StoredFile.partial(blob, at: edge)
            let mismatches = try await system.mismatchedPieces(at: edge)
            try file.flip(at: 1_200_000, temperature)
            let part = try await link.get([("Range", "bytes=1100000-1300000")])
            #expect(part.status == 206)
            #expect(part.bodyBytes == 200_001 && blob.contains(part.body, at: 1_100_000))
            #expect(try await system.mismatchedPieces(at: edge) > mismatches)
            #expect(try await link.get(isKept: false).digest == blob.digest)
        }

        @Test("a cache file that was cut short gives no short answer and no wrong byte")
        func truncatedCache() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            let link = try await repository.link(to: blob)
            #expect(try await link.get(isKept: false).digest == blob.digest)
            let file = try await StoredFile.complete(blob, at: system.edge(of: link))
            try file.truncate(to: 3_000_000)
            let answer = try await link.get(isKept: false)
            #expect(answer.status == 200)
            #expect(answer.ending == .complete)
            #expect(answer.digest == blob.digest)
        }

        @Test(
            "a byte that changed at the origin reaches no client of an edge", arguments: [0, 4_500_000, sizeBytes - 1])
        func lyingParent(offset: Int) async throws {
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            let link = try await repository.link(to: blob)
            let edge = try system.edge(of: link)
            let mismatches = try await system.mismatchedPieces(at: edge)
            let file = try StoredFile.origin(blob, of: system.stack)
            try file.flip(at: offset, .warm)

            let whole = try await link.get()
            if whole.status == 200 {
                #expect(whole.ending == .fin, "a stream that cannot go on ends before its length, by FIN")
                #expect(whole.bodyBytes <= offset / .mebibyte * .mebibyte)
                #expect(blob.contains(whole.body))
            } else {
                #expect((500..<600).contains(whole.status))
            }
            let part = try await link.get([("Range", "bytes=\(offset)-\(offset)")])
            #expect((500..<600).contains(part.status))
            #expect(try await system.mismatchedPieces(at: edge) > mismatches)

            // What is right stays available, and so does everything once the origin is right again.
            let other = offset < 2 * .mebibyte ? 8 * Int.mebibyte : 0
            let good = try await link.get([("Range", "bytes=\(other)-\(other + 1000)")])
            #expect(good.status == 206)
            #expect(blob.contains(good.body, at: other))
            try file.flip(at: offset, .warm)
            #expect(try await link.get(isKept: false).digest == blob.digest)
        }
    }
}
