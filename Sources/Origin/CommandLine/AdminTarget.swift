// SPDX-License-Identifier: Apache-2.0

import Grammar

/// A path of the admin API and its query.
package struct AdminTarget: Sendable, Equatable, CustomStringConvertible {
    /// `/api/v1`, where all of them begin.
    package static let root = AdminTarget(segments: ["api", "v1"], query: [])

    private struct Parameter: Equatable {
        let name: String
        let value: String
    }

    private let segments: [String]
    private let query: [Parameter]

    private init(segments: [String], query: [Parameter]) {
        self.segments = segments
        self.query = query
    }

    /// - Parameter more: Not encoded; a `/` in one of them is part of it.
    /// - Throws: A usage error for a segment that would make it the path of something else: proxies drop empty ones,
    ///   and take `..` for the folder above, which here is the owner of what is meant.
    package func appending(_ more: String...) throws(CommandFailure) -> AdminTarget {
        try appending(more)
    }

    /// The same, for a name that has several segments, such as a repository's.
    package func appending(name: String) throws(CommandFailure) -> AdminTarget {
        try appending(name.split(separator: "/", omittingEmptySubsequences: false).map(String.init))
    }

    private func appending(_ more: [String]) throws(CommandFailure) -> AdminTarget {
        for segment in more where ["", ".", ".."].contains(segment) {
            throw .usage("\"\(segment)\" is no name, nor part of one")
        }
        return AdminTarget(segments: segments + more, query: query)
    }

    package func asking(_ name: String, _ value: String) -> AdminTarget {
        AdminTarget(segments: segments, query: query + [Parameter(name: name, value: value)])
    }

    /// As it stands in a request line: percent-encoded where RFC 3986 wants it, and nowhere else, since the origin
    /// compares segments as they come.
    package var description: String {
        let path = segments.map { "/" + FormItems.encoded($0, keeping: "!$&'()*+,;=:@") }.joined()
        guard !query.isEmpty else { return path }
        let parameters = query.map { parameter in
            [parameter.name, parameter.value].map { FormItems.encoded($0) }.joined(separator: "=")
        }
        return path + "?" + parameters.joined(separator: "&")
    }
}
