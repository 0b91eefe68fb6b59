// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Hashing
import OCI
import SignedURL
import Testing

/// `link-vectors.json`: what links are, for minting and for verifying alike. Made by an implementation that shares no
/// code with this one.
struct LinkVectors: Decodable, Sendable {
    struct Master: Decodable {
        let id: String
        let secret: String
        let isInUse: Bool

        enum CodingKeys: String, CodingKey {
            case id, secret
            case isInUse = "in_use"
        }
    }

    struct Valid: Decodable, CustomTestStringConvertible {
        let name: String
        let digest: String
        let edgeID: String
        let expiry: Int64
        let keyID: String
        let sizeBytes: Int64
        let tenant: String
        let now: Int64
        let edgeKey: String
        let target: String

        enum CodingKeys: String, CodingKey {
            case name, digest, expiry, tenant, now, target
            case edgeID = "edge_id"
            case keyID = "key_id"
            case sizeBytes = "size"
            case edgeKey = "edge_key"
        }

        var testDescription: String { name }

        var link: Link {
            get throws {
                Link(
                    digest: try #require(Digest(digest)),
                    edgeID: edgeID,
                    expiry: expiry,
                    keyID: keyID,
                    sizeBytes: sizeBytes,
                    tenant: tenant)
            }
        }
    }

    struct Refused: Decodable, CustomTestStringConvertible {
        enum Answer: String, Decodable { case malformed, forbidden, expired }

        let name: String
        let answer: Answer
        let target: String
        let now: Int64

        var testDescription: String { name }

        var refusal: LinkRefusal {
            switch answer {
            case .malformed: .malformed
            case .forbidden: .forbidden
            case .expired: .expired
            }
        }
    }

    let edgeID: String
    let timeToLiveSeconds: Int64
    let masters: [Master]
    let valid: [Valid]
    let refused: [Refused]

    enum CodingKeys: String, CodingKey {
        case masters, valid, refused
        case edgeID = "edge_id"
        case timeToLiveSeconds = "time_to_live_seconds"
    }

    static let all = Result {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
        return try JSONDecoder().decode(
            LinkVectors.self, from: Data(contentsOf: folder.appending(path: "link-vectors.json")))
    }

    func key(_ keyID: String, edgeID: String) throws -> LinkKey {
        let master = try #require(masters.first { $0.id == keyID })
        let secret = try #require(Hex.decode(master.secret))
        return LinkKey.derive(from: LinkMaster(id: master.id, secret: secret), edgeID: edgeID)
    }

    /// The verifier of an edge that holds its keys under all masters in use.
    func verifier(edgeID: String) throws -> LinkVerifier {
        LinkVerifier(
            edgeID: edgeID,
            keys: try masters.filter(\.isInUse).map { try key($0.id, edgeID: edgeID) },
            timeToLive: .seconds(timeToLiveSeconds))
    }
}
