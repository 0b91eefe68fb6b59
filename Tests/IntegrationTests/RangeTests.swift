// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration.OneSystem {
    /// RFC 9110 §13 and §14, the same at an edge and at the origin.
    @Suite("Ranges and conditions", .everyProcessLives)
    struct Ranges {
        static let sizeBytes = 2 * Int.mebibyte + 4_321

        enum Expected: Sendable {
            case whole
            case part(Range<Int>)
            case unsatisfiable
        }

        enum Server: String, Sendable, CaseIterable { case edge, origin }

        static let ranges: [Row<Expected>] = [
            Row("bytes=0-0", .part(0..<1)),
            Row("bytes=0-", .part(0..<sizeBytes)),
            Row("bytes=-1", .part(sizeBytes - 1..<sizeBytes)),
            Row("bytes=-99999999", .part(0..<sizeBytes)),
            Row("bytes=1048575-1048576", .part(1_048_575..<1_048_577)),
            Row("bytes=1000-2097200", .part(1000..<2_097_201)),
            Row("bytes=0000-0001", .part(0..<2)),
            Row("bytes=2097152-18446744073709551616", .part(2_097_152..<sizeBytes)),
            Row("bytes=\(sizeBytes - 1)-", .part(sizeBytes - 1..<sizeBytes)),
            Row("bytes=\(sizeBytes)-", .unsatisfiable),
            Row("bytes=9223372036854775808-", .unsatisfiable),
            Row("bytes=-0", .unsatisfiable),
            Row("bytes=5-2", .unsatisfiable),
            Row("bytes=" + (0..<1000).map { "\($0)-\($0)" }.joined(separator: ","), .unsatisfiable),
            Row("bytes=abc", .whole),
            Row("bytes=", .whole),
            Row("bytes = 0-1", .whole),
            Row("items=0-1", .whole),
            Row("bytes=0-1,3-4", .whole),
        ]

        /// Gets one blob, pushed before, from either server.
        private struct Target {
            let blob: TestBlob
            let get: ([(name: String, value: String)], String) async throws -> Answer
        }

        private func target(_ server: Server) async throws -> Target {
            let system = try System()
            let repository = system.repository("ranges")
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            switch server {
            case .edge:
                let link = try await repository.link(to: blob)
                return Target(blob: blob) { headers, method in try await link.get(headers, method: method) }
            case .origin:
                return Target(blob: blob) { headers, method in
                    try await repository.ask(
                        method, "blobs/\(blob.digest)", headers: [("Depot-Redirect", "never")] + headers)
                }
            }
        }

        @Test(
            "one range is served, what may be ignored is ignored, what cannot be satisfied says so",
            arguments: Server.allCases)
        func ranges(server: Server) async throws {
            let target = try await target(server)
            for row in Self.ranges {
                let answer = try await target.get([("Range", row.name)], "GET")
                let name = Comment(rawValue: String(row.name.prefix(40)))
                switch row.value {
                case .whole:
                    #expect(answer.status == 200, name)
                    #expect(answer.digest == target.blob.digest, name)
                case .part(let range):
                    #expect(answer.status == 206, name)
                    #expect(
                        answer["content-range"]
                            == "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(Self.sizeBytes)", name)
                    #expect(
                        answer.bodyBytes == range.count && target.blob.contains(answer.body, at: range.lowerBound), name
                    )
                case .unsatisfiable:
                    #expect(answer.status == 416, name)
                    #expect(answer["content-range"] == "bytes */\(Self.sizeBytes)", name)
                }
                #expect(answer.ending == .complete, name)
            }
        }

        @Test(
            "a Range header of 8 KiB is not satisfiable, one of 40 KiB ends the connection", arguments: Server.allCases)
        func longHeader(server: Server) async throws {
            let target = try await target(server)
            for (rangeCount, statuses) in [(1000, [416, 431]), (4000, [400, 431])] {
                let header = "bytes=" + (1000..<1000 + rangeCount).map { "\($0)-\($0)" }.joined(separator: ",")
                let answer = try await target.get([("Range", header)], "GET")
                #expect(statuses.contains(answer.status), "\(header.utf8.count) bytes")
            }
        }

        @Test("If-Range serves the part only of the same blob", arguments: Server.allCases)
        func ifRange(server: Server) async throws {
            let target = try await target(server)
            let tag = "\"\(target.blob.digest)\""
            for (condition, status) in [(tag, 206), ("W/\(tag)", 200), ("\"other\"", 200)] {
                let answer = try await target.get([("Range", "bytes=1-3"), ("If-Range", condition)], "GET")
                #expect(answer.status == status, "\(condition)")
                #expect(answer.bodyBytes == (status == 206 ? 3 : Self.sizeBytes))
            }
        }

        @Test("If-None-Match of the blob's tag is 304 without a body", arguments: Server.allCases)
        func ifNoneMatch(server: Server) async throws {
            let target = try await target(server)
            let tag = "\"\(target.blob.digest)\""
            for (condition, status) in [
                (tag, 304), ("W/\(tag)", 304), ("*", 304), ("\"a\", \(tag)", 304), ("\"a\"", 200),
            ] {
                let answer = try await target.get([("If-None-Match", condition)], "GET")
                #expect(answer.status == status, "\(condition)")
                if status == 304 { #expect(answer["etag"] == tag) }
            }
        }

        @Test("HEAD ignores Range", arguments: Server.allCases)
        func head(server: Server) async throws {
            let answer = try await target(server).get([("Range", "bytes=0-0")], "HEAD")
            #expect(answer.status == 200)
            #expect(answer["content-length"] == "\(Self.sizeBytes)")
        }

        @Test("many ranges on one connection keep their order", arguments: Server.allCases)
        func keepAlive(server: Server) async throws {
            let system = try System()
            let repository = system.repository("ranges")
            let blob = try await repository.pushedBlob(sizeBytes: Self.sizeBytes)
            let link = try await repository.link(to: blob)
            let connection = try HTTPConnection(to: server == .edge ? link.endpoint : system.origin)
            for start in stride(from: 0, to: Self.sizeBytes, by: 300_007) {
                let end = min(start + 300_007, Self.sizeBytes)
                let headers = [("Range", "bytes=\(start)-\(end - 1)"), ("Depot-Redirect", "never")]
                let request =
                    server == .edge
                    ? HTTPRequest(link.target, headers: headers)
                    : repository.request("GET", "blobs/\(blob.digest)", headers: headers)
                let answer = try await connection.answer(to: request)
                #expect(answer.status == 206)
                #expect(answer.bodyBytes == end - start && blob.contains(answer.body, at: start))
            }
        }

        @Test("the empty blob has no range")
        func emptyBlob() async throws {
            let repository = try System().repository("ranges")
            let blob = try await repository.pushedBlob(sizeBytes: 0)
            let whole = try await repository.blobFromOrigin(blob.digest)
            #expect(whole.status == 200 && whole["content-length"] == "0")
            let part = try await repository.blobFromOrigin(blob.digest, headers: [("Range", "bytes=0-0")])
            #expect(part.status == 416)
        }
    }
}
