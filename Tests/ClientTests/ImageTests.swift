// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

extension Tag {
    /// Drives programs that others wrote.
    @Tag static var client: Self
}

/// Everything here shares one stack and one pair of daemons, and runs one after the other, so that the counters of
/// origin and edges can be read before and after a pull.
@Suite(.serialized, .tags(.client), .stack(edges: 2, environment: ["DEPOT_PRIVATE_ISSUERS": "127.0.0.1"]), .clients)
enum RealClients {}

private let mebibyte = 1 << 20

extension RealClients {
    @Suite struct ImageTests {
        @Test(
            "an image pushed by a client is pulled whole by it and by another one, layers by way of an edge",
            arguments: ClientName.allCases)
        func image(pusher: ClientName) async throws {
            let layout = try Layout()
            let (manifest, diffIDs) = try await layout.addImage(
                layerBytes: [3 * mebibyte, 3 * mebibyte, 24 * mebibyte, 3 * mebibyte, 3 * mebibyte, 100])
            try layout.finish(["1": manifest])
            let registry = try Registry("image-\(pusher)")
            let clients = try currentClients()

            try await clients[pusher].push(layout, "1", to: registry.reference("1"))
            let pushed = try await registry.image("1")
            for puller in [pusher, pusher.next] {
                let pulled = try await registry.expectFromEdges(pushed.blobs) {
                    try await clients[puller].pull(registry.reference("1"))
                }
                #expect(pulled == diffIDs, "\(puller) got other bytes than \(pusher) pushed")
            }
        }

        @Test(
            "an index of two platforms pushed by a client is pulled whole by all",
            arguments: [ClientName.podman, .buildah, .skopeo, .containerd])
        func index(pusher: ClientName) async throws {
            let layout = try Layout()
            let (index, images) = try await layout.addIndex(layerBytes: [3 * mebibyte, 5 * mebibyte])
            try layout.finish(["1": index].merging(images.map { ("1-\($0.key)", $0.value.0) }) { first, _ in first })
            let registry = try Registry("index-\(pusher)")
            let clients = try currentClients()

            try await clients[pusher].push(layout, "1", to: registry.reference("1"))
            let pushed = try await registry.manifest("1")
            let architectures = Set((pushed.manifests ?? []).compactMap { $0.platform?.architecture })
            #expect(architectures == [Layout.architecture, Layout.otherArchitecture])
            let native = try await registry.image("1")
            let foreign = try await registry.image("1", for: Layout.otherArchitecture)
            for puller in ClientName.allCases {
                let pulled = try await registry.expectFromEdges(native.blobs, optional: foreign.blobs) {
                    try await clients[puller].pull(registry.reference("1"))
                }
                #expect(
                    pulled == images[Layout.architecture]?.diffIDs, "\(puller) got other bytes than \(pusher) pushed")
            }
        }
    }
}
