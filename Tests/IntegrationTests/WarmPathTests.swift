// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

extension Integration {
    /// containerd's parallel pull asks 6,000 times for one 50 GB blob.
    @Suite("Warm pulls", .stack(edges: 1))
    struct WarmPulls {
        private static let requestCount = 3000
        /// Of the origin's own looks at the database while the requests run, some per second.
        private static let backgroundStatementCountMax = 300

        let system: System
        let repository: Repository

        init() throws {
            system = try System()
            repository = system.repository("warm")
        }

        private func statementCount() async throws -> Int {
            try await MetricsPage.read(system.description.origins[0].adminUrl).sum("depot_origin_sql_statements_total")
        }

        /// - Returns: SQL statements sent meanwhile.
        private func statements(_ path: String, status: Int) async throws -> Int {
            for _ in 0..<3 { #expect(try await repository.ask("GET", path).status == status) }
            let before = try await statementCount()
            let connection = try HTTPConnection(to: system.origin)
            let request = repository.request("GET", path)
            for _ in 0..<Self.requestCount {
                let answer = try await connection.answer(to: request)
                try #require(answer.status == status)
            }
            return try await statementCount() - before
        }

        @Test("a warm 307 asks the database nothing")
        func redirects() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 70_000)
            let count = try await statements("blobs/\(blob.digest)", status: 307)
            #expect(count <= Self.backgroundStatementCountMax)
        }

        @Test("a warm manifest asks the database nothing, by digest as by tag")
        func manifests() async throws {
            let manifest = try await TestManifest.image(
                config: repository.pushedBlob(sizeBytes: 100), layers: [repository.pushedBlob(sizeBytes: 100)])
            try #require(try await repository.push(manifest, as: "v1").status == 201)
            for reference in ["v1", "\(manifest.digest)"] {
                let count = try await statements("manifests/\(reference)", status: 200)
                #expect(count <= Self.backgroundStatementCountMax)
            }
        }

        @Test("rights do not come from memory: who may not see the repository is refused while it is warm")
        func rights() async throws {
            let blob = try await repository.pushedBlob(sizeBytes: 70_000)
            #expect(try await repository.ask("GET", "blobs/\(blob.digest)").status == 307)
            let stranger = repository.asked(with: .basic("x-token:dpo_wrong"))
            #expect(try await stranger.ask("GET", "blobs/\(blob.digest)").status == 401)
            #expect(try await repository.asked(with: .none).ask("GET", "blobs/\(blob.digest)").status == 401)
        }
    }
}
