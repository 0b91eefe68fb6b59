// SPDX-License-Identifier: Apache-2.0

/// `Content-Range` of a chunk: `START-END`, decimal, inclusive, without unit (distribution-spec 1.1, "Pushing a blob in
/// chunks"). It is not RFC 9110's field of that name.
package enum ChunkRange {
    /// - Returns: The half-open range.
    /// - Throws: 400 for what is not of the grammar; 416 for a range that ends before it starts or past every size.
    package static func parse(_ header: String) throws(ChunkRangeFault) -> Range<Int64> {
        let parts = header.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isDigit) }) else { throw .malformed }
        guard let first = Int64(Substring(parts[0])), let last = Int64(Substring(parts[1])), first <= last, last < .max
        else { throw .impossible }
        return first..<(last + 1)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// `0-END` of an upload's `Range`. An empty session says `0-0`, as every registry does: the inclusive form cannot
    /// say "nothing", and docker's client parses the header of each answer.
    package static func text(sizeBytes: Int64) -> String { "0-\(max(sizeBytes - 1, 0))" }
}

package enum ChunkRangeFault: Error { case malformed, impossible }
