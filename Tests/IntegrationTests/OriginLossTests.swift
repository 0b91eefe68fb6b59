// SPDX-License-Identifier: Apache-2.0

import Glibc
import OCI
import StackSupport
import Synchronization
import Testing

extension Integration {
    /// No acknowledged push is ever lost.
    @Suite("Loss of the origin", .stack(edges: 1))
    struct OriginLoss {
        /// What the origin was asked, and what it has acknowledged.
        private final class PushLog: Sendable {
            struct Entries {
                var attempted: [TestBlob] = []
                var blobs: [TestBlob] = []
                var manifests: [(tag: String, manifest: TestManifest)] = []
            }

            let entries = Mutex(Entries())
        }

        /// Pushes images one after the other until the origin does not answer any more.
        private static func pushImages(
            to repository: Repository, writer: Int, _ log: PushLog
        ) async {
            for number in 0..<10_000 {
                do {
                    let blobs = [TestBlob(sizeBytes: 300), TestBlob(sizeBytes: 70_000 + number)]
                    for blob in blobs {
                        log.entries.withLock { $0.attempted.append(blob) }
                        try await repository.push(blob)
                        log.entries.withLock { $0.blobs.append(blob) }
                    }
                    let manifest = TestManifest.image(config: blobs[0], layers: [blobs[1]])
                    let tag = "w\(writer)-\(number)"
                    guard try await repository.push(manifest, as: tag).status == 201 else { return }
                    log.entries.withLock { $0.manifests.append((tag, manifest)) }
                } catch {
                    return
                }
            }
        }

        @Test("kill -9 in the middle of pushes: all that was acknowledged is there, nothing half-written is visible")
        func killedDuringPushes() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("crash")
            let large = TestBlob(sizeBytes: 160 * .mebibyte)
            let upload = try await repository.startUpload()
            let log = PushLog()
            let sentBytes = 130 * Int.mebibyte

            await withTaskGroup(of: Void.self) { group in
                for writer in 0..<2 {
                    group.addTask { await Self.pushImages(to: repository, writer: writer, log) }
                }
                group.addTask {
                    do {
                        let connection = try HTTPConnection(to: system.origin)
                        try await connection.sendHead(
                            of: repository.request("PATCH", upload, headers: [("Content-Length", "\(large.sizeBytes)")])
                        )
                        try await connection.send(Array(large.bytes[..<sentBytes]))
                        try await waitUntil("pushes were acknowledged", within: .seconds(30)) {
                            log.entries.withLock { $0.manifests.count } >= 12
                        }
                        try await ObservedProcess(system.description.originPid).killNow()
                    } catch {
                        Issue.record(error)
                    }
                }
            }
            try await stack.up()

            let facts = log.entries.withLock { $0 }
            try #require(facts.manifests.count >= 12)
            for (tag, manifest) in facts.manifests {
                #expect(try await repository.ask("GET", "manifests/\(tag)").body == manifest.bytes)
                #expect(try await repository.ask("GET", "manifests/\(manifest.digest)").body == manifest.bytes)
            }
            for blob in facts.blobs {
                #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
            }
            let edgeBlob = try #require(facts.blobs.last { $0.sizeBytes >= 70_000 })
            #expect(try await repository.link(to: edgeBlob).get().body == edgeBlob.bytes)
            for blob in facts.attempted where !facts.blobs.contains(where: { $0.digest == blob.digest }) {
                let answer = try await repository.blobFromOrigin(blob.digest)
                #expect(answer.status == 404 || answer.body == blob.bytes, "whole, or not there")
            }
            #expect(try await repository.ask("HEAD", "blobs/\(large.digest)").status == 404)

            try await resume(upload, of: large, sentBytes: sentBytes, repository)
        }

        /// The session names an offset that is durable, and goes on from there.
        private func resume(_ upload: String, of blob: TestBlob, sentBytes: Int, _ repository: Repository) async throws
        {
            let status = try await repository.ask("GET", upload)
            try #require(status.status == 204)
            let last = try #require(status["range"]?.split(separator: "-").last.flatMap { Int($0) })
            let offset = last + 1
            #expect(offset >= 64 * .mebibyte, "a durable point is set every 32 to 64 MiB")
            #expect(offset <= sentBytes)
            #expect(offset.isMultiple(of: .mebibyte))
            let patch = try await repository.ask(
                "PATCH", upload, headers: [("Content-Range", "\(offset)-\(blob.sizeBytes - 1)")],
                body: Array(blob.bytes[offset...]))
            #expect(patch.status == 202)
            #expect(try await repository.ask("PUT", "\(upload)?digest=\(blob.digest)").status == 201)
            let whole = try await repository.blobFromOrigin(blob.digest)
            #expect(whole.digest == blob.digest)
            #expect(try await repository.link(to: blob).get(isKept: false).digest == blob.digest)
        }

        @Test("SIGTERM: a push that runs ends well, nobody new gets in, then the process ends")
        func drained() async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("drained")
            let blob = TestBlob(sizeBytes: 8 * .mebibyte)
            let upload = try await repository.startUpload()
            let pusher = try HTTPConnection(to: system.origin)
            let put = repository.request(
                "PUT", "\(upload)?digest=\(blob.digest)",
                headers: [("Expect", "100-continue"), ("Content-Length", "\(blob.sizeBytes)")])
            try await pusher.sendHead(of: put)
            try #require(try await pusher.readHead().status == 100)
            try await pusher.send(Array(blob.bytes[..<(4 * .mebibyte)]))
            try #require(kill(system.description.originPid, SIGTERM) == 0)
            try await waitUntil("the origin takes nobody new", within: .seconds(5)) {
                (try? await ask(system.origin, HTTPRequest("/v2/"), limit: .seconds(5))) == nil
            }
            try await pusher.send(Array(blob.bytes[(4 * .mebibyte)...]))
            #expect(try await pusher.readAnswer(to: "PUT").status == 201)
            try await waitUntil("the origin ends", within: .seconds(20)) {
                !ObservedProcess(system.description.originPid).isAlive
            }
            try await stack.up()
            #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
        }

        @Test("kill -9 at once after each answer: what it said holds", arguments: 1...2)
        func killedAfterAnswer(round: Int) async throws {
            let stack = try currentStack()
            let system = try System(stack)
            let repository = system.repository("crash-at-once")
            let blob = TestBlob(sizeBytes: 3_000_000)
            let upload = try await repository.startUpload()
            let part = try await repository.ask("PATCH", upload, body: Array(blob.bytes[..<1_234_567]))
            try #require(part.status == 202)
            try await ObservedProcess(system.description.originPid).killNow()
            try await stack.up()

            let status = try await repository.ask("GET", upload)
            #expect(status.status == 204)
            #expect(status["range"] == "0-1234566", "a 202 names durable bytes")
            let put = try await repository.ask(
                "PUT", "\(upload)?digest=\(blob.digest)", body: Array(blob.bytes[1_234_567...]))
            try #require(put.status == 201)
            try await ObservedProcess(stack.description.originPid).killNow()
            try await stack.up()

            #expect(try await repository.blobFromOrigin(blob.digest).body == blob.bytes)
            let manifest = TestManifest.image(config: blob, layers: [])
            try #require(try await repository.push(manifest, as: "round-\(round)").status == 201)
            try await ObservedProcess(stack.description.originPid).killNow()
            try await stack.up()
            #expect(try await repository.ask("GET", "manifests/round-\(round)").body == manifest.bytes)
            #expect(try await repository.link(to: blob).get().body == blob.bytes)
        }
    }
}
