// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Synchronization
import Testing

extension Integration {
    /// PostgreSQL gone, slow, restarted, full, or in each other's way: rows F10 to F14 of the fault matrix. Two origins
    /// share it, so that it is a process of its own; the tests speak to the first.
    @Suite("Faults of the database", .serialized, .stack(edges: 1, origins: 2))
    struct DatabaseFaults {
        let system: System
        let server: PostgresServer

        init() throws {
            system = try System()
            server = PostgresServer(of: system.stack)
        }

        /// What the writers of one test share.
        private final class Progress: Sendable {
            let acknowledged = Mutex<[(tag: String, manifest: TestManifest, blobs: [TestBlob])]>([])
            let isOver = Mutex(false)
            let refusedCount = Mutex(0)
        }

        /// An image above the direct-serve limit, its blobs and its manifest, pushed.
        private func pushedImage(
            _ repository: Repository, tag: String
        ) async throws -> (layer: TestBlob, manifest: TestManifest) {
            let layer = try await repository.pushedBlob(sizeBytes: 70_000)
            let manifest = try await TestManifest.image(
                config: repository.pushedBlob(sizeBytes: 100), layers: [layer])
            try #require(try await repository.push(manifest, as: tag).status == 201)
            return (layer, manifest)
        }

        private func expectUnavailable(_ answer: Answer, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(answer.status == 503, sourceLocation: sourceLocation)
            #expect(answer["retry-after"] != nil, sourceLocation: sourceLocation)
        }

        private func expectWritable(_ repository: Repository) async throws {
            try await waitUntil("pushes are taken again") {
                (try? await repository.ask("POST", "blobs/uploads/"))?.status == 202
            }
        }

        // MARK: F10

        @Test("F10: gone: what was pulled lately is pulled on, writes are 503, an upload keeps what was durable")
        func gone() async throws {
            let repository = system.repository("f10")
            let (layer, manifest) = try await pushedImage(repository, tag: "v1")
            for reference in ["v1", "\(manifest.digest)"] {
                #expect(try await repository.ask("GET", "manifests/\(reference)").status == 200)
            }
            #expect(try await repository.link(to: layer).get().body == layer.bytes)
            let large = TestBlob(sizeBytes: 3 * .mebibyte)
            let upload = try await repository.startUpload()
            let first = try await repository.ask("PATCH", upload, body: Array(large.bytes[..<(2 * .mebibyte)]))
            #expect(first.status == 202)

            let bringBack = try await server.takeAway()
            defer { bringBack() }
            for reference in ["v1", "\(manifest.digest)"] {
                #expect(try await repository.ask("GET", "manifests/\(reference)").body == manifest.bytes)
            }
            #expect(try await repository.link(to: layer).get().body == layer.bytes)
            for (method, path) in [
                ("GET", "blobs/\(TestBlob(sizeBytes: 9).digest)"), ("GET", "manifests/unknown"),
                ("POST", "blobs/uploads/"), ("PATCH", upload), ("PUT", "\(upload)?digest=\(large.digest)"),
                ("DELETE", "manifests/v1"), ("GET", "tags/list"),
            ] {
                let answer = try await repository.ask(method, path)
                #expect(answer.status == 503, "\(method) \(path)")
                #expect(answer["retry-after"] != nil, "\(method) \(path)")
            }
            expectUnavailable(try await repository.push(manifest, as: "v2"))
            #expect(try await ask(system.admin, HTTPRequest("/readyz")).status == 503)
            #expect(try await ask(system.admin, HTTPRequest("/healthz")).status == 200)

            bringBack()
            try await expectWritable(repository)
            #expect(try await repository.ask("GET", "manifests/v1").body == manifest.bytes)
            #expect(try await repository.ask("GET", "manifests/v2").status == 404)
            let status = try await repository.ask("GET", upload)
            #expect(status["range"] == "0-\(2 * Int.mebibyte - 1)")
            let rest = try await repository.ask(
                "PUT", "\(upload)?digest=\(large.digest)",
                headers: [("Content-Range", "\(2 * Int.mebibyte)-\(large.sizeBytes - 1)")],
                body: Array(large.bytes[(2 * .mebibyte)...]))
            #expect(rest.status == 201)
            #expect(try await repository.blobFromOrigin(large.digest).body == large.bytes)
        }

        @Test("F10: gone in the middle of a body: the bytes are taken, the commit is 503, the next PUT commits")
        func goneDuringBody() async throws {
            let repository = system.repository("f10-body")
            let blob = TestBlob(sizeBytes: 70 * .mebibyte)
            let upload = try await repository.startUpload()
            let pusher = try HTTPConnection(to: system.origin, limit: .seconds(120))
            try await pusher.sendHead(
                of: repository.request("PATCH", upload, headers: [("Content-Length", "\(blob.sizeBytes)")]))
            try await pusher.send(Array(blob.bytes[..<(40 * .mebibyte)]))
            let bringBack = try await server.takeAway()
            defer { bringBack() }
            try await pusher.send(Array(blob.bytes[(40 * .mebibyte)...]))
            expectUnavailable(try await pusher.readAnswer(to: "PATCH"))

            bringBack()
            try await expectWritable(repository)
            // The lease of the broken request may have to run out first.
            try await waitUntil("the session can be written to", within: .seconds(60)) {
                let status = try await repository.ask("GET", upload)
                let last = try #require(status["range"]?.split(separator: "-").last.flatMap { Int($0) })
                let offset = last == 0 ? 0 : last + 1
                #expect(offset <= blob.sizeBytes)
                let put = try await repository.ask(
                    "PUT", "\(upload)?digest=\(blob.digest)",
                    headers: [("Content-Range", "\(offset)-\(blob.sizeBytes - 1)")], body: Array(blob.bytes[offset...]))
                return put.status == 201
            }
            #expect(try await repository.blobFromOrigin(blob.digest).digest == blob.digest)
        }

        // MARK: F11

        @Test("F11: slow: an answer comes within seconds, warm pulls at once, and a repeated push has one effect")
        func slow() async throws {
            let repository = system.repository("f11")
            let (layer, manifest) = try await pushedImage(repository, tag: "v1")
            #expect(try await repository.ask("GET", "blobs/\(layer.digest)").status == 307)
            let blob = TestBlob(sizeBytes: 5000)

            server.freeze()
            defer { server.thaw() }
            let began = ContinuousClock.now
            #expect(try await repository.ask("GET", "blobs/\(layer.digest)").status == 307)
            #expect(ContinuousClock.now - began < .seconds(1))
            // More than there are connections, so that some wait for one.
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        if index.isMultiple(of: 2) {
                            return try await repository.push(manifest, as: "slow-\(index)")
                        }
                        return try await repository.ask(
                            "POST", "blobs/uploads/?digest=\(blob.digest)", body: blob.bytes)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(ContinuousClock.now - began < .seconds(15))
            for answer in answers { expectUnavailable(answer) }

            server.thaw()
            try await expectWritable(repository)
            for _ in 0..<2 {
                let again = try await repository.ask(
                    "POST", "blobs/uploads/?digest=\(blob.digest)", body: blob.bytes)
                #expect(again.status == 201)
                #expect(try await repository.push(manifest, as: "slow-0").status == 201)
            }
            #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
            #expect(try await repository.ask("GET", "manifests/slow-0").body == manifest.bytes)
        }

        // MARK: F12

        @Test(
            "F12: restarted in the middle of commits: what was acknowledged is there, and what was not can be repeated")
        func restartedDuringCommits() async throws {
            let repository = system.repository("f12")
            let progress = Progress()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        var number = 0
                        while !progress.isOver.withLock({ $0 }) {
                            number += 1
                            let tag = "w\(writer)-\(number)"
                            let blobs = [TestBlob(sizeBytes: 200), TestBlob(sizeBytes: 3000)]
                            let manifest = TestManifest.image(config: blobs[0], layers: [blobs[1]])
                            // As clients do: the same step again until it succeeds.
                            for blob in blobs {
                                try await Self.persist(progress) {
                                    try await repository.ask(
                                        "POST", "blobs/uploads/?digest=\(blob.digest)", body: blob.bytes)
                                }
                            }
                            try await Self.persist(progress) { try await repository.push(manifest, as: tag) }
                            progress.acknowledged.withLock { $0.append((tag, manifest, blobs)) }
                        }
                    }
                }
                for _ in 0..<5 {
                    let before = progress.acknowledged.withLock { $0.count }
                    try await waitUntil("pushes go on") { progress.acknowledged.withLock { $0.count } >= before + 8 }
                    server.crashOneBackend()
                }
                progress.isOver.withLock { $0 = true }
                try await group.waitForAll()
            }
            #expect(progress.refusedCount.withLock { $0 } > 0, "the crashes were felt")
            for (tag, manifest, blobs) in progress.acknowledged.withLock({ $0 }) {
                #expect(try await repository.ask("GET", "manifests/\(tag)").body == manifest.bytes)
                for blob in blobs {
                    #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
                }
            }
        }

        /// Repeats a push until it is acknowledged. In between only 503 is allowed.
        private static func persist(
            _ progress: Progress, _ push: () async throws -> Answer
        ) async throws {
            try await waitUntil("the push is acknowledged", within: .seconds(60), every: .milliseconds(50)) {
                let answer = try await push()
                if answer.status == 201 { return true }
                #expect(answer.status == 503, "\(answer.text)")
                progress.refusedCount.withLock { $0 += 1 }
                return false
            }
        }

        // MARK: F13

        @Test("F13: no connection left: 503 in time, warm pulls go on, and all is well when there is room again")
        func connectionsExhausted() async throws {
            let repository = system.repository("f13")
            let (layer, _) = try await pushedImage(repository, tag: "v1")
            #expect(try await repository.ask("GET", "blobs/\(layer.digest)").status == 307)
            // The origins' role is the superuser's, which no limit of its own binds: the server itself is made small.
            try await server.run("ALTER SYSTEM SET max_connections = 12")
            try await server.run("ALTER SYSTEM SET superuser_reserved_connections = 0")
            let failure: (any Error)?
            do {
                try await restartServer()
                try await exhaust(repository, warm: layer)
                failure = nil
            } catch {
                failure = error
            }
            // By file: the origins may hold all connections that there are.
            try server.forgetSettings()
            try await restartServer()
            if let failure { throw failure }
            try await expectWritable(repository)
        }

        private func exhaust(_ repository: Repository, warm layer: TestBlob) async throws {
            var hogs: [RunningCommand] = []
            for _ in 0..<12 {
                hogs.append(try Command(["psql", "-qc", "SELECT pg_sleep(8)", server.url]).start())
            }
            try await waitUntil("no connection is left") { await !server.answers() }
            let began = ContinuousClock.now
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<30 { group.addTask { try await repository.ask("POST", "blobs/uploads/") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(ContinuousClock.now - began < .seconds(10))
            // An origin that got a connection before they ran out has it still.
            #expect(answers.allSatisfy { [202, 503].contains($0.status) })
            #expect(try await repository.ask("GET", "blobs/\(layer.digest)").status == 307)
            // A server does not see that a client of a sleeping statement has gone: they are waited for.
            for hog in hogs { _ = try await hog.result() }
            try await expectWritable(repository)
        }

        private func restartServer() async throws {
            try await server.takeAway()()
            try await waitUntil("the database is back") { await server.answers() }
        }

        // MARK: F14

        /// Whoever waits in a circle is let go by PostgreSQL after a moment, and begins again inside of the origin. The
        /// storm of this test never pauses: a push that met it each time for four seconds is 503, and its client repeats it.
        @Test(
            "F14: a storm of locks in the wrong order: pushes are repeated, nearly all of them inside, and none is lost"
        )
        func deadlockStorm() async throws {
            let repository = system.repository("f14")
            let shared = try await pushedBlobs(6, repository)
            let deadlocksBefore = try await deadlockCount()
            let storm = shared.map(\.digest).sorted().reversed()
                .map { "SELECT FROM blobs WHERE digest = '\($0)' FOR UPDATE; SELECT pg_sleep(0.002);" }
            let script = "BEGIN; \(storm.joined(separator: " ")) COMMIT;"
            let progress = Progress()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        // One that PostgreSQL chose as the victim begins again.
                        while !progress.isOver.withLock({ $0 }) { try? await server.run(script) }
                    }
                }
                for writer in 0..<6 {
                    group.addTask {
                        for number in 0..<10 {
                            let own = TestBlob(sizeBytes: 120 + number)
                            try await repository.push(own)
                            let manifest = TestManifest.image(config: own, layers: shared)
                            try await Self.persist(progress) {
                                try await repository.push(manifest, as: "w\(writer)-\(number)")
                            }
                            let get = try await repository.ask("GET", "manifests/w\(writer)-\(number)")
                            #expect(get.body == manifest.bytes)
                        }
                    }
                }
                for _ in 0..<6 { try await group.next() }
                progress.isOver.withLock { $0 = true }
                try await group.waitForAll()
            }
            // The server's statistics come with a delay.
            try await waitUntil("the server has counted deadlocks") { try await deadlockCount() > deadlocksBefore }
            #expect(progress.refusedCount.withLock { $0 } <= 30, "of 60 pushes")
        }

        private func pushedBlobs(_ count: Int, _ repository: Repository) async throws -> [TestBlob] {
            var blobs: [TestBlob] = []
            for _ in 0..<count { blobs.append(try await repository.pushedBlob(sizeBytes: 300)) }
            return blobs
        }

        private func deadlockCount() async throws -> Int {
            let result = try await Command(
                ["psql", "-qtAc", "SELECT deadlocks FROM pg_stat_database WHERE datname = 'depot'", server.url]
            ).run()
            return Int(String(decoding: result.output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
                ?? 0
        }
    }
}
