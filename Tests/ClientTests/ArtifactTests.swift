// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

extension RealClients {
    @Suite struct ArtifactTests {
        enum Pusher: String, CaseIterable { case skopeo, containerd, oras }

        @Test("an artifact of types of its own arrives whole at skopeo, ctr and oras", arguments: Pusher.allCases)
        func artifact(pusher: Pusher) async throws {
            let clients = try currentClients()
            let registry = try Registry("artifact-\(pusher)")
            let reference = registry.reference("1")
            let oras = Oras(authFile: clients.authFile)
            let scratch = try ScratchDirectory("artifact")
            try await Command(
                ["sh", "-ec", "head -c 5000000 /dev/urandom > weights"], in: scratch.path
            ).run()
            let hex = try await sha256(of: [scratch.path("weights")])[0]

            switch pusher {
            case .skopeo, .containerd:
                let layout = try Layout()
                try layout.finish(["1": try await layout.addArtifact(file: scratch.path("weights")).manifest])
                try await clients[pusher == .skopeo ? .skopeo : .containerd].push(layout, "1", to: reference)
            case .oras:
                try Data("{}".utf8).write(to: scratch.url("config"))
                try await oras.push(scratch.path, to: reference)
            }
            let pushed = try await registry.manifest("1")
            #expect(pushed.config?.mediaType == "application/vnd.example.model.config.v1+json")
            #expect(pushed.layers?.map(\.hex) == [hex])

            let copied = try await registry.expectFromEdges(pushed.blobs) {
                let target = try ScratchDirectory("skopeo")
                try await Skopeo(authFile: clients.authFile).copy(
                    "docker://\(reference)", "oci:\(target.path):1", "--src-tls-verify=false")
                return try await sha256(of: [target.path("blobs/sha256/\(hex)")])
            }
            let fetched = try await registry.expectFromEdges(pushed.blobs) {
                let target = try ScratchDirectory("ctr")
                try await clients.containerd.fetch(reference).content("sha256:\(hex)").write(to: target.url("weights"))
                return try await sha256(of: [target.path("weights")])
            }
            let pulled = try await registry.expectFromEdges(pushed.blobs) {
                let target = try ScratchDirectory("oras")
                try await oras.pull(reference, into: target.path)
                return try await sha256(of: [target.path("weights")])
            }
            #expect([copied, fetched, pulled] == [[hex], [hex], [hex]])
        }

        @Test("an artifact of one 4 GiB layer goes in and out in 128 MiB of memory per process")
        func largeArtifact() async throws {
            let memoryBytesMax = 128 << 20
            let clients = try currentClients()
            let registry = try Registry("large")
            let processes = ([registry.stack.originPid] + registry.stack.edges.map(\.pid)).map(ObservedProcess.init)
            for process in processes { try process.resetPeakMemory() }

            let layout = try Layout()
            let scratch = try ScratchDirectory("large")
            // The AES key stream: random to whoever compresses or dedupes, and made at disk speed.
            let generate =
                "openssl enc -aes-128-ctr -pass pass:depot -nosalt -pbkdf2 -in /dev/zero 2>/dev/null | head -c 4294967296"
            try await Command(["sh", "-ec", "\(generate) > weights"], in: scratch.path, limit: .seconds(300)).run()
            let (manifest, layer) = try await layout.addArtifact(file: scratch.path("weights"))
            try layout.finish(["1": manifest])
            let skopeo = Skopeo(authFile: clients.authFile)
            try await skopeo.copy(
                "oci:\(layout.path):1", "docker://\(registry.reference("1"))", "--dest-tls-verify=false",
                limit: .seconds(600))

            let pulled = try await registry.expectFromEdges(registry.manifest("1").blobs) {
                let target = try ScratchDirectory("large-pulled")
                try await skopeo.copy(
                    "docker://\(registry.reference("1"))", "oci:\(target.path):1", "--src-tls-verify=false",
                    limit: .seconds(600))
                return try await sha256(of: [target.path("blobs/sha256/\(layer.hex)")])
            }
            #expect(pulled == [layer.hex])
            #expect(layer.size == 4 << 30)
            for process in processes {
                #expect(try process.peakMemoryBytes() <= memoryBytesMax, "process \(process.pid)")
            }
        }
    }
}
