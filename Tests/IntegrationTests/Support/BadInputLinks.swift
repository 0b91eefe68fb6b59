// SPDX-License-Identifier: Apache-2.0

import OCI
import SignedURL
import StackSupport
import Testing

/// The names of `BadInputFixture` that begin with `link`. Each is about one genuine link to a blob of 70,001 bytes that
/// no edge had, as the origin gave it out.
///
/// - `link`: path and query; `link.path` and `link.hex`: its path, and the digest in it; `link.a`, `link.e`, `link.k`,
///   `link.s`, `link.t`, `link.g`: the values of its parameters; `link.host`: where it leads.
/// - `link.expired`, `link.late`: genuine links whose time is over, or that count for longer than links do.
/// - `link.absent`: a genuine link to a blob that is nowhere.
/// - `link.retired`: a link under a key that the edge holds no more. `link.foreign`: one that the other edge made of its
///   own key. `link.a.other`: the id of that edge.
/// - `link.hex.other`: another digest; `link.hex.upper`: in upper case; `link.hex.rest`: without its last digit.
/// - `link.e.rest`, `link.e.last`: the expiry without its last digit, and that digit.
/// - `link.g.flipped`, `link.g.short`, `link.g.hex`: the signature with a bit changed, a character less, in hexadecimal.
struct BadInputLinks {
    private let system: System
    private let link: EdgeLink
    private let blob: TestBlob

    init(blob: TestBlob, in repository: Repository) async throws {
        system = repository.system
        self.blob = blob
        link = try await repository.link(to: blob)
    }

    var endpoint: Endpoint { link.endpoint }

    /// A request whose answer is one byte.
    var probe: HTTPRequest { HTTPRequest(link.target, headers: [("Range", "bytes=0-0")]) }

    private var hex: String { blob.digest.hex }

    func value(of name: String) throws -> String {
        switch name {
        case "link": return link.target
        case "link.host": return link.endpoint.authority
        case "link.path": return link.path
        case "link.hex": return hex
        case "link.hex.other": return TestBlob(sizeBytes: 16).digest.hex
        case "link.hex.upper": return hex.uppercased()
        case "link.hex.rest": return String(hex.dropLast())
        case "link.a.other": return try otherEdge().id
        case "link.e.rest": return String(link["e"].dropLast())
        case "link.e.last": return String(link["e"].suffix(1))
        case "link.g.flipped": return (link["g"].first == "A" ? "B" : "A") + link["g"].dropFirst()
        case "link.g.short": return String(link["g"].dropLast())
        case "link.g.hex": return String(repeating: "ab", count: 32)
        case "link.expired", "link.late", "link.absent", "link.retired", "link.foreign": return try minted(name)
        default:
            let parameter = name.dropFirst("link.".count)
            try #require(["a", "e", "k", "s", "t", "g"].contains(parameter), "nothing is known as {\(name)}")
            return link[String(parameter)]
        }
    }

    private func otherEdge() throws -> StackDescription.Edge { try system.otherEdge(than: system.edge(of: link)) }

    private func minted(_ name: String) throws -> String {
        let mint = try LinkMint(edge: system.edge(of: link), like: link)
        switch name {
        case "link.expired":
            return try mint.link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: .seconds(-3600)).target
        case "link.late":
            let tooLong = Duration.seconds(mint.timeToLiveSeconds + 3600)
            return try mint.link(to: blob.digest, sizeBytes: blob.sizeBytes, remaining: tooLong).target
        case "link.absent":
            return try mint.link(to: TestBlob(sizeBytes: 16).digest, sizeBytes: 70_001, remaining: .seconds(300)).target
        case "link.foreign":
            return try signed(by: LinkMint(edge: otherEdge(), like: link).key)
        default:
            return try signed(by: LinkKey(id: "retired", secret: TestBlob.random(LinkMaster.secretBytes)))
        }
    }

    /// A link for this edge, all of it right but the key.
    private func signed(by key: LinkKey) throws -> String {
        let forged = Link(
            digest: blob.digest, edgeID: link["a"], expiry: try #require(Int64(link["e"])), keyID: key.id,
            sizeBytes: Int64(blob.sizeBytes), tenant: link["t"])
        return LinkSigner.target(for: forged, key: key)
    }
}
