// SPDX-License-Identifier: Apache-2.0

import Disk
import EdgeProtocol

/// The link keys on disk, so that an edge that starts while every origin is away still serves what it has. Mode 0600.
struct KeyFile: Sendable {
    let path: String
    let edgeID: String

    /// The keys belong to one edge: a cache directory may come to another.
    struct Content: EdgeMessage {
        static let bytesMax = 2 * KeysAnswer.bytesMax

        let edgeID: String
        let answer: KeysAnswer

        private enum CodingKeys: String, CodingKey {
            case edgeID = "edge_id"
            case answer
        }
    }

    /// - Returns: `nil` if there is no file, or if it is not this edge's, or damaged: the origin gives new ones.
    func load() throws(DiskError) -> LinkKeySet? {
        guard let bytes = try AtomicFile.read(path, bytesMax: Content.bytesMax),
            let content = try? Content(json: bytes), content.edgeID == edgeID
        else { return nil }
        return LinkKeySet(content.answer, edgeID: edgeID)
    }

    /// Blocks until the keys are durable.
    func save(_ keys: LinkKeySet) throws {
        try AtomicFile.write(Content(edgeID: edgeID, answer: keys.answer).json(), to: path, permissions: 0o600)
    }
}
