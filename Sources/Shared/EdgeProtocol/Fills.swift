// SPDX-License-Identifier: Apache-2.0

package import OCI

/// An edge asks where to fetch a blob from, and shows the client's link as its right to.
package struct FillsRequest: EdgeMessage {
    package static let bytesMax = 4096

    /// Path and query of the link, as the client sent it.
    package var link: String

    package init(link: String) {
        self.link = link
    }
}

/// The parents to fetch from, in the order to try them.
package struct FillsAnswer: EdgeMessage {
    package static let bytesMax = 64 * 1024

    package enum ParentKind: String, Codable, Sendable { case origin, edge }

    package struct Parent: Codable, Sendable, Equatable {
        package var kind: ParentKind
        /// Absolute, with a link minted for this parent.
        package var url: String

        package init(kind: ParentKind, url: String) {
            self.kind = kind
            self.url = url
        }
    }

    package var digest: String
    package var sizeBytes: Int64
    package var parents: [Parent]

    package init(digest: Digest, sizeBytes: Int64, parents: [Parent]) {
        self.digest = digest.description
        self.sizeBytes = sizeBytes
        self.parents = parents
    }

    private enum CodingKeys: String, CodingKey {
        case digest, parents
        case sizeBytes = "size"
    }
}
