// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Grammar
import Hashing
import OCI
import SignedURL
import StackSupport
import Testing

/// A signed link as the origin gave it out, taken apart by a reader of the test's own.
struct EdgeLink: Sendable {
    let endpoint: Endpoint
    /// Up to the question mark.
    var path: String
    var items: [(name: String, value: String)]

    /// - Parameter url: `Location` of a 307.
    init(url: String) throws {
        let split = try #require(Endpoint.split(url: url), "a redirect names an absolute URL, not \(url)")
        self.init(endpoint: split.endpoint, target: split.target)
    }

    init(endpoint: Endpoint, target: String) {
        self.endpoint = endpoint
        let parts = target.split(separator: "?", maxSplits: 1)
        path = String(parts[0])
        items = (parts.count > 1 ? parts[1] : "").split(separator: "&").map { item in
            let pair = item.split(separator: "=", maxSplits: 1)
            return (String(pair[0]), pair.count > 1 ? String(pair[1]) : "")
        }
    }

    var target: String { path + "?" + items.map { "\($0.name)=\($0.value)" }.joined(separator: "&") }

    subscript(_ name: String) -> String {
        get { items.first { $0.name == name }?.value ?? "" }
        set {
            for index in items.indices where items[index].name == name { items[index].value = newValue }
        }
    }

    /// The link with one parameter changed, and its signature as it was.
    func with(_ name: String, _ value: String) -> EdgeLink {
        var link = self
        link[name] = value
        return link
    }

    func without(_ name: String) -> EdgeLink {
        var link = self
        link.items.removeAll { $0.name == name }
        return link
    }

    func get(
        _ headers: [(name: String, value: String)] = [], method: String = "GET", isKept: Bool = true
    ) async throws -> Answer {
        try await ask(endpoint, HTTPRequest(method, target, headers: headers), isKept: isKept)
    }
}

/// Mints links as the origin would, with the key that an edge keeps on disk: for links that no origin gives out, such
/// as one that expired an hour ago.
struct LinkMint: Sendable {
    let edge: StackDescription.Edge
    let key: LinkKey
    let timeToLiveSeconds: Int64
    let tenant: String

    /// - Parameter genuine: A link of the origin; the tenant's label is taken from it.
    init(edge: StackDescription.Edge, like genuine: EdgeLink) throws {
        let path = try #require(Self.keyFile(of: edge), "the edge keeps its keys on disk")
        let json = try BoundedJSON.parse(
            Array(Data(contentsOf: URL(filePath: path))), limits: JSONLimits(bytesMax: 1 << 20))
        let answer = try #require(json["answer"])
        let current = try #require(
            answer["keys"]?.arrayValue?.first { $0["id"]?.stringValue == genuine["k"] }, "the edge has the link's key")
        let secret = try #require(current["secret"]?.stringValue.flatMap { Base64URL.decode($0) })
        self.edge = edge
        key = LinkKey(id: genuine["k"], secret: secret)
        timeToLiveSeconds = try #require(answer["link_ttl_seconds"]?.integerValue)
        tenant = genuine["t"]
    }

    /// - Parameter remaining: Until the link expires; negative: since it did.
    func link(to digest: Digest, sizeBytes: Int, remaining: Duration) throws -> EdgeLink {
        let link = Link(
            digest: digest,
            edgeID: edge.id,
            expiry: Int64(Date().timeIntervalSince1970) + remaining.components.seconds,
            keyID: key.id,
            sizeBytes: Int64(sizeBytes),
            tenant: tenant)
        return try EdgeLink(url: edge.url + LinkSigner.target(for: link, key: key))
    }

    private static func keyFile(of edge: StackDescription.Edge) -> String? {
        FilesBelow(edge.cache).first { path in
            guard let bytes = try? Data(contentsOf: URL(filePath: path)), bytes.count < 1 << 20 else { return false }
            return bytes.starts(with: Data("{\"".utf8))
                && String(decoding: bytes, as: UTF8.self).contains("\"edge_id\"")
        }
    }
}
