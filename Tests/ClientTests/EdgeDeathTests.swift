// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

extension RealClients {
    /// An edge is killed while it sends a layer that it is still fetching itself.
    @Suite struct EdgeDeathTests {
        private static let layerBytes = 1 << 30
        /// The fill is well under way, and far from done.
        private static let killAtBytes = 96 << 20

        @Test("docker ends a pull well whose edge was killed in the middle")
        func docker() async throws {
            let docker = try currentClients().docker
            let (registry, diffIDs) = try await pushedImage("killed-docker")
            let pull = try await docker.startPull(registry.reference("1"))
            try await killTheEdgeThatFills(during: pull, of: registry)
            let result = try await pull.result()
            #expect(result.status == 0, "\(result.summary)")
            #expect(try await docker.layers(of: registry.reference("1")) == diffIDs)
            try await currentStack().up()
        }

        @Test("ctr ends a pull well whose edge was killed in the middle")
        func containerd() async throws {
            let containerd = try currentClients().containerd
            let (registry, diffIDs) = try await pushedImage("killed-ctr")
            let (pull, namespace) = try containerd.startPull(registry.reference("1"))
            try await killTheEdgeThatFills(during: pull, of: registry)
            let result = try await pull.result()
            #expect(result.status == 0, "\(result.summary)")
            #expect(try await namespace.layers(of: registry.reference("1")) == diffIDs)
            try await currentStack().up()
        }

        private func pushedImage(_ name: String) async throws -> (Registry, diffIDs: [String]) {
            let layout = try Layout()
            let (manifest, diffIDs) = try await layout.addImage(layerBytes: [Self.layerBytes])
            try layout.finish(["1": manifest])
            let registry = try Registry(name)
            try await currentClients()[.skopeo].push(layout, "1", to: registry.reference("1"))
            return (registry, diffIDs)
        }

        private func killTheEdgeThatFills(during pull: RunningCommand, of registry: Registry) async throws {
            let before = registry.stack.edges.map { occupiedBytes(below: $0.cache) }
            var filling: (edge: StackDescription.Edge, bytesBefore: Int)?
            try await waitUntil(
                "an edge has fetched a part of the layer", within: .seconds(60), every: .milliseconds(5)
            ) {
                filling =
                    zip(registry.stack.edges, before).first { edge, before in
                        occupiedBytes(below: edge.cache) - before >= Self.killAtBytes
                    }
                return filling != nil
            }
            let (edge, bytesBefore) = try #require(filling)
            try await ObservedProcess(edge.pid).killNow()
            #expect(pull.isRunning, "the pull was over before the edge was killed")
            #expect(
                occupiedBytes(below: edge.cache) - bytesBefore < Self.layerBytes,
                "the edge had the whole layer when it was killed")
        }
    }
}
