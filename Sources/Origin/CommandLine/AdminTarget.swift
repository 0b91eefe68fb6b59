// SPDX-License-Identifier: Apache-2.0

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
        let path = segments.map { "/" + Self.encode($0, keeping: "-._~!$&'()*+,;=:@") }.joined()
        guard !query.isEmpty else { return path }
        let parameters = query.map { parameter in
            [parameter.name, parameter.value].map { Self.encode($0, keeping: "-._~") }.joined(separator: "=")
        }
        return path + "?" + parameters.joined(separator: "&")
    }

    private static func encode(_ text: String, keeping others: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isKept =
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: others.unicodeScalars.contains(scalar)
                }
            if isKept {
                result.unicodeScalars.append(scalar)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
