// SPDX-License-Identifier: Apache-2.0

/// What names a manifest within a repository: a tag or a digest.
///
/// A digest has a colon, which no tag has; so text with a colon that is no digest is a bad digest, not a bad tag.
package enum Reference: Hashable, Sendable, CustomStringConvertible {
    case tag(Tag)
    case digest(Digest)

    package init?(_ text: some StringProtocol) {
        if let digest = Digest(text) {
            self = .digest(digest)
        } else if let tag = Tag(text) {
            self = .tag(tag)
        } else {
            return nil
        }
    }

    package var description: String {
        switch self {
        case .tag(let tag): tag.text
        case .digest(let digest): digest.description
        }
    }
}
