// SPDX-License-Identifier: Apache-2.0

package import OCI

/// The last segment of a manifest's path.
package enum ReferenceText: Equatable, Sendable {
    case reference(Reference)
    /// Meant as a digest, but not one of ours.
    case invalidDigest
    case invalidTag

    /// A tag cannot hold a colon. What has one is judged as a digest if it names a known algorithm or is long enough
    /// to be one of another.
    package init(_ text: Substring) {
        if let digest = Digest(text) {
            self = .reference(.digest(digest))
        } else if let tag = Tag(text) {
            self = .reference(.tag(tag))
        } else if let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) {
            let isKnown = DigestAlgorithm(rawValue: text[..<colon].lowercased()) != nil
            self = isKnown || text[colon...].utf8.count > 32 ? .invalidDigest : .invalidTag
        } else {
            self = .invalidTag
        }
    }
}
