// SPDX-License-Identifier: Apache-2.0

/// What a `Range` header asks of a representation of known size.
///
/// One range is served; everything that RFC 9110 §14.2 lets a server ignore is ignored (`whole`): other units,
/// bad syntax, several ranges. More than `rangeCountMax` ranges are refused, since nobody honest sends them.
package enum RangeSelection: Equatable, Sendable {
    /// Answer 200 with the whole representation.
    case whole
    /// Answer 206 with this half-open, non-empty range of bytes.
    case part(Range<Int64>)
    /// Answer 416 with `Content-Range: bytes */SIZE`.
    case unsatisfiable

    package static let rangeCountMax = 16

    /// - Parameters:
    ///   - header: The value of the one `Range` header, or `nil`.
    ///   - sizeBytes: Size of the representation.
    package init(header: String?, sizeBytes: Int64) {
        guard let header else {
            self = .whole
            return
        }
        var rest = header.utf8[...]
        guard rest.starts(with: "bytes=".utf8) else {
            self = .whole
            return
        }
        rest = rest.dropFirst(6)
        let commaCount = rest.lazy.filter { $0 == UInt8(ascii: ",") }.count
        guard commaCount == 0 else {
            self = commaCount >= Self.rangeCountMax ? .unsatisfiable : .whole
            return
        }
        guard let dash = rest.firstIndex(of: UInt8(ascii: "-")),
            let first = Self.decimal(rest[..<dash]),
            let last = Self.decimal(rest[rest.index(after: dash)...])
        else {
            self = .whole
            return
        }
        switch (first, last) {
        case (.absent, .absent):
            self = .whole
        case (.absent, .value(let suffixBytes)):
            let start = max(0, sizeBytes - suffixBytes)
            self = suffixBytes == 0 || sizeBytes == 0 ? .unsatisfiable : .part(start..<sizeBytes)
        case (.value(let start), .absent):
            self = start < sizeBytes ? .part(start..<sizeBytes) : .unsatisfiable
        case (.value(let start), .value(let end)):
            if end < start || start >= sizeBytes {
                self = .unsatisfiable
            } else {
                self = .part(start..<(min(end, sizeBytes - 1) + 1))
            }
        }
    }

    private enum Position {
        case absent
        case value(Int64)
    }

    /// A decimal of any length; what does not fit counts as the largest value, since a position past every size is
    /// clamped or unsatisfiable all the same. `nil`: not a decimal.
    private static func decimal(_ text: Substring.UTF8View) -> Position? {
        guard !text.isEmpty else { return .absent }
        var value: Int64 = 0
        for byte in text {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, overflowedProduct) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedSum) = product.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
            value = overflowedProduct || overflowedSum ? .max : sum
        }
        return .value(value)
    }
}

/// The inclusive form of a half-open range, which exists only in headers (RFC 9110 §14.4).
package enum ContentRange {
    package static func part(_ range: Range<Int64>, ofBytes sizeBytes: Int64) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(sizeBytes)"
    }

    package static func unsatisfied(sizeBytes: Int64) -> String { "bytes */\(sizeBytes)" }
}

/// Conditions of a request for a representation whose strong validator is its digest (RFC 9110 §13.1).
package enum Precondition {
    /// `If-None-Match`: is the representation the one that the client holds? Weak comparison, as the RFC asks.
    package static func noneMatchHolds(header: String?, entityTag: String) -> Bool {
        guard let header else { return false }
        return header.split(separator: ",").contains { candidate in
            let tag = candidate.trimmed
            return tag == "*" || tag == entityTag || tag.dropPrefix("W/") == entityTag
        }
    }

    /// `If-Range`: may the range be served? Strong comparison; a date never matches, since blobs carry none.
    package static func rangeApplies(ifRange header: String?, entityTag: String) -> Bool {
        header.map { Substring($0).trimmed == entityTag } ?? true
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return ""
        }
        return self[first...last]
    }

    fileprivate func dropPrefix(_ prefix: String) -> Substring {
        hasPrefix(prefix) ? dropFirst(prefix.count) : self
    }
}
