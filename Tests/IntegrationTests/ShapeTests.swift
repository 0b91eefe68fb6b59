// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension Integration {
    /// The ways in which `Scripts/stack` starts a system, as operators would.
    @Suite("Shapes of a system")
    struct Shapes {
        /// Pushes to the first origin and pulls by way of an edge.
        private func expectServing(_ stack: RunningStack, _ name: String) async throws -> TestBlob {
            let repository = try System(stack).repository(name)
            let blob = try await repository.pushedBlob(sizeBytes: 100_000)
            let pulled = try await repository.link(to: blob).get()
            #expect(pulled.status == 200 && pulled.body == blob.bytes)
            return blob
        }

        @Test("a user without root starts everything below a folder of mode 0700, and again after kill -9 of all")
        func user() async throws {
            // Not another account: that could not read a checkout of root's. In a user namespace the programs are not
            // root to themselves, nor to PostgreSQL, which refuses root.
            let runner = geteuid() == 0 ? ["unshare", "--user", "--map-user=1000", "--map-group=1000"] : []
            try await withOwnStack(edges: 1, runner: runner) { stack in
                let mode = try FileManager.default.attributesOfItem(atPath: stack.path)[.posixPermissions] as? Int
                #expect(mode == 0o700)
                let blob = try await expectServing(stack, "user")
                let database = try #require(postmaster(of: stack))
                for pid in [stack.description.originPid, database] + stack.description.edges.map(\.pid) {
                    try await ObservedProcess(pid).killNow()
                }
                let before = stack.description
                try await stack.up()
                #expect(stack.description.origin == before.origin && stack.description.token == before.token)
                let again = try await System(stack).repository("user").link(to: blob).get()
                #expect(again.body == blob.bytes)
            }
        }

        /// Process id of the private PostgreSQL of a system with one origin.
        private func postmaster(of stack: RunningStack) -> Int32? {
            let file = FilesBelow("\(stack.path)/origin-1/data/postgres").first { $0.hasSuffix("/postmaster.pid") }
            guard let file, let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
            return text.split(separator: "\n").first.flatMap { Int32($0) }
        }

        @Test("a given database is used, and lives on when the system is stopped")
        func givenDatabase() async throws {
            try await withOwnDatabase { server, given in
                try await withOwnStack(edges: 1, ["--database-url", given]) { stack in
                    #expect(stack.description.databaseUrl == given)
                    #expect(postmaster(of: stack) == nil, "there is no private one")
                    _ = try await expectServing(stack, "given")
                }
                #expect(server.isRunning)
            }
        }

        @Test("two origins share database and blobs: each serves what the other took, and either may die")
        func twoOrigins() async throws {
            try await withOwnStack(edges: 2, ["--origins", "2"]) { stack in
                let description = stack.description
                try #require(description.origins.count == 2)
                let blob = try await expectServing(stack, "shared")
                let first = try System(stack).repository("shared")
                let other = try #require(Endpoint(url: description.origins[1].url))
                let redirect = try await ask(other, first.request("GET", "blobs/\(blob.digest)"))
                try #require(redirect.status == 307, "\(redirect.text)")
                let pulled = try await EdgeLink(url: try #require(redirect["location"])).get()
                #expect(pulled.body == blob.bytes)
                try await ObservedProcess(description.originPid).killNow()
                let large = TestBlob(sizeBytes: 100_000)
                let begun = try await ask(other, first.request("POST", "blobs/uploads/"))
                let location = try #require(begun["location"])
                let put = try await ask(
                    other, first.request("PUT", "\(location)?digest=\(large.digest)", body: large.bytes))
                #expect(put.status == 201, "\(put.text)")
                let link = try await ask(other, first.request("GET", "blobs/\(large.digest)"))
                try #require(link.status == 307, "\(link.text)")
                // The edge has never seen this blob, and one of its two origins is gone.
                let filled = try await EdgeLink(url: try #require(link["location"])).get()
                #expect(filled.status == 200 && filled.body == large.bytes)
            }
        }
    }
}
