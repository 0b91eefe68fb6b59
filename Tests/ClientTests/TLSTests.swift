// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension RealClients {
    /// An origin and edges over https, under a private authority that the clients are told of. On the loopback docker
    /// speaks https but checks no certificate; where it does, see `ProxyTests`.
    @Suite(.stack(edges: 2, hasTLS: true), .clients) struct TLSTests {
        private static let largeBytes = 512 << 20
        private static let replaceAtBytes = 96 << 20

        @Test("an image is pushed and pulled over https, layers by way of an edge", arguments: ClientName.allCases)
        func image(client: ClientName) async throws {
            let layout = try Layout()
            let (manifest, diffIDs) = try await layout.addImage(layerBytes: [3 << 20, 24 << 20, 100])
            try layout.finish(["1": manifest])
            let registry = try Registry("tls-\(client)")
            #expect(registry.stack.edges.allSatisfy { $0.url.hasPrefix("https://") })
            let clients = try currentClients()
            try await clients[client].push(layout, "1", to: registry.reference("1"))
            // A layer that docker has packed again is about as large as it was.
            let before = try await Traffic.of(registry.stack)
            let pulled = try await clients[client].pull(registry.reference("1"))
            #expect(pulled == diffIDs, "other bytes than were pushed")
            try await waitUntil("the edges counted their bytes", within: .seconds(10)) {
                try await (Traffic.of(registry.stack) - before).edgeBytes > 27 << 20
            }
        }

        @Test("who does not know the authority pulls nothing", arguments: [ClientName.podman, .skopeo, .containerd])
        func stranger(client: ClientName) async throws {
            let registry = try Registry("tls-stranger")
            let clients = try currentClients()
            let scratch = try ScratchDirectory("stranger")
            let other = try await CertificateAuthority(scratch.path("tls")).issue("other", for: ["IP:127.0.0.1"])
            let reference = registry.reference("1")
            let command: [String] =
                switch client {
                case .podman:
                    [
                        "podman", "--root", scratch.path("root"), "--runroot", scratch.path("run"), "--storage-driver",
                        "vfs", "pull", reference,
                    ]
                case .skopeo: ["skopeo", "inspect", "--authfile", clients.authFile, "docker://\(reference)"]
                default:
                    try clients.containerd.fetchCommand(
                        reference, from: registry.stack.registryHost, trusting: other.certificatePath, scratch)
                }
            let result = try await Command(command).result()
            #expect(result.status != 0 && result.summary.contains("x509"), "\(result.summary)")
        }

        @Test("an edge's certificate is replaced in the middle of a pull, which goes on")
        func replacedDuringPull() async throws {
            let layout = try Layout()
            let (manifest, diffIDs) = try await layout.addImage(layerBytes: [Self.largeBytes])
            try layout.finish(["1": manifest])
            let registry = try Registry("tls-replaced")
            let clients = try currentClients()
            try await clients[.skopeo].push(layout, "1", to: registry.reference("1"))
            let authority = CertificateAuthority(try currentStack().path + "/tls")

            // podman of Debian 12 does not resume: a transfer that breaks fails.
            let podman = Podman(authFile: clients.authFile, certificates: clients.certificates)
            let before = registry.stack.edges.map { occupiedBytes(below: $0.cache) }
            let (pull, layers) = try podman.startPull(registry.reference("1"))
            var filling: StackDescription.Edge?
            try await waitUntil(
                "an edge has fetched a part of the layer", within: .seconds(60), every: .milliseconds(5)
            ) {
                filling =
                    zip(registry.stack.edges, before).first { edge, before in
                        occupiedBytes(below: edge.cache) - before >= Self.replaceAtBytes
                    }?.0
                return filling != nil
            }
            let edge = try #require(filling)
            let address = String(edge.url.dropFirst("https://".count))
            let next = try await authority.issue("\(edge.name)-next", for: ["IP:\(address.prefix { $0 != ":" })"])
            try next.replace(authority.issued(edge.name))
            try #require(kill(edge.pid, SIGHUP) == 0)
            let serial = try await next.serial()
            try await waitUntil("new connections see the new certificate", within: .seconds(5)) {
                try await authority.servedSerial(address) == serial
            }
            #expect(pull.isRunning, "the pull was over before the certificate was replaced")
            let result = try await pull.result()
            #expect(result.status == 0, "\(result.summary)")
            #expect(try await layers() == diffIDs)
            #expect(try await MetricsPage.read(edge.adminUrl).sum("depot_edge_broken_streams_total") == 0)

            let again = try await clients[.containerd].pull(registry.reference("1"))
            #expect(again == diffIDs, "by the new certificate")
        }
    }
}
