// SPDX-License-Identifier: Apache-2.0

/// A request target as it came, split at the first `?`. The path is never decoded or normalised: what is not in the
/// grammar of a route is refused there (`Docs/architecture.md`, "Paths").
package struct RawTarget: Sendable {
    package let path: Substring
    package let query: Substring?

    package init(_ target: String) {
        // By bytes: characters would have to be told apart first, which takes longer than all the rest.
        if let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = target[..<mark]
            query = target[target.utf8.index(after: mark)...]
        } else {
            path = target[...]
            query = nil
        }
    }

    /// Whether a segment of the path is `.` or `..`, which some readers would take for steps.
    package var hasDotSegment: Bool {
        path.utf8.split(separator: UInt8(ascii: "/")).contains { segment in
            segment.elementsEqual(".".utf8) || segment.elementsEqual("..".utf8)
        }
    }

    /// Does the path lie below `prefix`, which ends at a segment boundary?
    package func isBelow(_ prefix: String) -> Bool {
        guard path.utf8.starts(with: prefix.utf8) else { return false }
        let rest = path.utf8.dropFirst(prefix.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/")
    }
}
