// SPDX-License-Identifier: Apache-2.0

/// What a path below `/v2` names. Parsed from the right over the raw text: a repository name may hold any word that is
/// also a route's, and nothing is decoded or normalised, so that `//`, `%2f` or `..` stay in the name and are refused
/// with it.
package struct RegistryPath: Equatable, Sendable {
    package enum Resource: Equatable, Sendable {
        /// `/v2/`
        case base
        /// `/v2/_catalog`
        case catalog
        /// `/v2/<name>/blobs/<digest>`
        case blob(digest: Substring)
        /// `/v2/<name>/blobs/uploads/`
        case uploads
        /// `/v2/<name>/blobs/uploads/<id>`
        case upload(id: Substring)
        /// `/v2/<name>/manifests/<reference>`
        case manifest(reference: Substring)
        /// `/v2/<name>/tags/list`
        case tags
        /// `/v2/<name>/referrers/<digest>`
        case referrers(digest: Substring)
    }

    package let resource: Resource
    /// As it stands in the path, not validated; empty where the resource belongs to no repository.
    package let name: Substring

    /// - Returns: `nil` if the path is no route of the registry.
    package init?(_ path: Substring) {
        if path == "/v2" || path == "/v2/" {
            self.init(.base, name: "")
            return
        }
        guard path.utf8.starts(with: "/v2/".utf8) else { return nil }
        let rest = path[path.utf8.index(path.startIndex, offsetBy: 4)...]
        if rest == "_catalog" {
            self.init(.catalog, name: "")
            return
        }
        guard let (front, last) = Self.splitLast(rest) else { return nil }
        let (name, kind) = Self.splitLast(front) ?? ("", front)
        switch kind {
        case "manifests": self.init(.manifest(reference: last), name: name)
        case "blobs": self.init(.blob(digest: last), name: name)
        case "referrers": self.init(.referrers(digest: last), name: name)
        case "tags" where last == "list": self.init(.tags, name: name)
        case "uploads":
            let (repository, parent) = Self.splitLast(name) ?? ("", name)
            guard parent == "blobs" else { return nil }
            self.init(last.isEmpty ? .uploads : .upload(id: last), name: repository)
        default: return nil
        }
    }

    private init(_ resource: Resource, name: Substring) {
        self.resource = resource
        self.name = name
    }

    private static func splitLast(_ text: Substring) -> (front: Substring, last: Substring)? {
        guard let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return (text[..<slash], text[text.utf8.index(after: slash)...])
    }
}
