// SPDX-License-Identifier: Apache-2.0

package import Hashing
package import OCI

/// Who may be asked for the bytes of a blob, in the order in which to ask.
package struct FillParents: Sendable, Equatable {
    /// As the origin knows it; has to be the size in the client's link.
    package let sizeBytes: Int64
    /// Absolute URLs, each with the link minted for that parent. Never empty.
    package let urls: [String]

    package init(sizeBytes: Int64, urls: [String]) {
        self.sizeBytes = sizeBytes
        self.urls = urls
    }
}

/// Why the origin gave no answer to build a fill on.
package enum ParentDirectoryError: Error, Sendable, Equatable {
    /// The origin does not know the blob (404), or has no piece list for it.
    case notFound
    /// The origin cannot be reached, refuses, or sent something that fails its MAC.
    case unavailable(String)
}

/// The origin's knowledge that a fill needs: parents and piece list. Lists come from the origin itself, under its MAC,
/// also when the bytes come from another edge (`Docs/architecture.md`, "Fills").
package protocol ParentDirectory: Sendable {
    /// - Parameter target: Path and query of the client's link, at most 24 h old: it is what authorises the fill.
    /// - Throws: `ParentDirectoryError`; any other error counts as `.unavailable`.
    func parents(forLink target: String) async throws -> FillParents

    /// - Throws: `ParentDirectoryError`; any other error counts as `.unavailable`.
    func pieceList(of digest: Digest, sizeBytes: Int64) async throws -> PieceList
}
