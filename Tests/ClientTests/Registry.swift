// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// Looks into the registry over its API, beside the clients.
struct Registry {
    /// What the origin serves itself; the default of `DEPOT_DIRECT_SERVE_BYTES_MAX`.
    static let directServeBytesMax = 65536

    let stack: StackDescription
    let name: String

    /// - Parameter name: A repository of the suite's organization.
    init(_ name: String) throws {
        stack = try currentStack().description
        self.name = name
    }

    /// The reference that clients use for a tag.
    func reference(_ tag: String) -> String { "\(stack.registry)/\(name):\(tag)" }

    func request(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: Data? = nil
    ) async throws -> RawAnswer {
        let authorization = ("Authorization", stack.basicAuthorization)
        return try await RawHTTP(stack.origin).request(
            method, "/v2/\(stack.organization)/\(name)/\(path)", headers: [authorization] + headers, body: body)
    }

    func manifest(_ reference: String) async throws -> Manifest {
        let types = [MediaType.image, MediaType.index, MediaType.dockerImage, MediaType.dockerIndex]
        let answer = try await request(
            "GET", "manifests/\(reference)", headers: [("Accept", types.joined(separator: ", "))])
        try #require(answer.status == 200, "\(reference): \(answer.status) \(answer.text)")
        return try JSONDecoder().decode(Manifest.self, from: answer.body)
    }

    /// The image for this machine that a tag leads to.
    func image(_ tag: String, for architecture: String = Layout.architecture) async throws -> Manifest {
        let manifest = try await manifest(tag)
        guard let entries = manifest.manifests else { return manifest }
        return try await self.manifest(try #require(entries.first { $0.platform?.architecture == architecture }).digest)
    }

    /// Does something, and checks who sent the blobs: large ones only edges, at least as many bytes as `blobs` have.
    /// - Parameter optional: What some clients pull besides.
    func expectFromEdges<T>(
        _ blobs: [Descriptor], optional: [Descriptor] = [], _ body: () async throws -> T,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> T {
        let before = try await Traffic.of(stack)
        let result = try await body()
        func isLarge(_ size: Int) -> Bool { size > Self.directServeBytesMax }
        let largeBytes = blobs.map(\.size).filter(isLarge).reduce(0, +)
        let smallBytes = (blobs + optional).map(\.size).filter { !isLarge($0) }.reduce(0, +)
        // An edge counts an answer when its last byte is handed over, which the client need not wait for.
        try await waitUntil("the edges counted \(largeBytes) bytes", within: .seconds(10)) {
            try await (Traffic.of(stack) - before).edgeBytes >= largeBytes
        }
        let traffic = try await Traffic.of(stack) - before
        #expect(traffic.directBytes <= smallBytes, "the origin sent large blobs", sourceLocation: sourceLocation)
        return result
    }
}
