// SPDX-License-Identifier: Apache-2.0

import OCI
import StackSupport
import Testing

/// What tests ask of a running system as a whole.
struct System: Sendable {
    let stack: RunningStack
    let description: StackDescription
    let origin: Endpoint
    /// The origin's admin listener.
    let admin: Endpoint

    /// The system of the suite that the calling test belongs to.
    init() throws {
        try self.init(currentStack())
    }

    /// - Parameter stack: Described as it is now; a later `up` needs a new `System`.
    init(_ stack: RunningStack) throws {
        self.stack = stack
        description = stack.description
        origin = try #require(Endpoint(url: description.origin))
        admin = try #require(description.origins.first.flatMap { Endpoint(url: $0.adminUrl) })
    }

    var edges: [StackDescription.Edge] { description.edges }

    /// A repository of the stack's organization.
    func repository(_ name: String, credential: Credential = .organization) -> Repository {
        Repository(system: self, name: "\(description.organization)/\(name)", credential: credential)
    }

    /// The edge that a link leads to.
    func edge(of link: EdgeLink) throws -> StackDescription.Edge {
        try #require(edges.first { Endpoint(url: $0.url) == link.endpoint }, "the link leads to one of our edges")
    }

    func otherEdge(than edge: StackDescription.Edge) throws -> StackDescription.Edge {
        try #require(edges.first { $0.id != edge.id })
    }

    // MARK: Metrics

    /// Bytes of blobs that the origin has sent, to clients and to edges.
    func originBlobBytes() async throws -> Int {
        try await MetricsPage.read(description.origins[0].adminUrl).sum("depot_origin_blob_bytes_total")
    }

    /// Pieces that an edge has found to be wrong, and not sent.
    func mismatchedPieces(at edge: StackDescription.Edge) async throws -> Int {
        try await MetricsPage.read(edge.adminUrl).sum("depot_edge_piece_mismatch_total")
    }

    /// Edges that the origin sends clients to.
    func edgesInRotation() async throws -> Int {
        let answer = try await ask(
            admin, HTTPRequest("/api/v1/edges", headers: [("Authorization", "Bearer \(description.adminToken)")]))
        return answer.json?["edges"]?.arrayValue?.count { $0["in_rotation"] == .bool(true) } ?? 0
    }

    // MARK: Life

    /// Every process is the one that was started, and says that it is well.
    func expectAlive(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let programs =
            description.origins.map { ($0.adminUrl, $0.pid) } + edges.map { ($0.adminUrl, $0.pid) }
        for (adminURL, pid) in programs {
            let admin = try #require(Endpoint(url: adminURL))
            let answer = try await ask(admin, HTTPRequest("/healthz"), limit: .seconds(10))
            #expect(answer.status == 200, "\(adminURL)", sourceLocation: sourceLocation)
            #expect(ObservedProcess(pid).isAlive, "process \(pid) of \(adminURL)", sourceLocation: sourceLocation)
        }
    }
}

/// Checks after each test of a suite that no process has crashed, been restarted, or stopped to answer.
struct AliveAfterwards: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await function()
        if !test.isSuite { try await System().expectAlive() }
    }
}

extension Trait where Self == AliveAfterwards {
    static var everyProcessLives: AliveAfterwards { AliveAfterwards() }
}
