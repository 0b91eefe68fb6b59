// SPDX-License-Identifier: Apache-2.0

import Grammar
import Testing

@Suite("Range header, RFC 9110 §14.2")
struct ByteRangeTests {
    @Test(
        "one range is served, what may be ignored is ignored, what cannot be satisfied says so",
        arguments: [
            (nil, 10, .whole),
            ("bytes=0-0", 10, .part(0..<1)),
            ("bytes=0-", 10, .part(0..<10)),
            ("bytes=3-", 10, .part(3..<10)),
            ("bytes=2-5", 10, .part(2..<6)),
            ("bytes=2-99", 10, .part(2..<10)),
            ("bytes=-1", 10, .part(9..<10)),
            ("bytes=-99", 10, .part(0..<10)),
            ("bytes=0000-0001", 10, .part(0..<2)),
            ("bytes=0-18446744073709551616", 10, .part(0..<10)),
            ("bytes=9223372036854775808-", 10, .unsatisfiable),
            ("bytes=-0", 10, .unsatisfiable),
            ("bytes=10-", 10, .unsatisfiable),
            ("bytes=5-2", 10, .unsatisfiable),
            ("bytes=0-0", 0, .unsatisfiable),
            ("bytes=-1", 0, .unsatisfiable),
            ("bytes=", 10, .whole),
            ("bytes=-", 10, .whole),
            ("bytes=abc", 10, .whole),
            ("bytes=1-x", 10, .whole),
            ("bytes=+1-2", 10, .whole),
            ("bytes = 0-1", 10, .whole),
            ("items=0-1", 10, .whole),
            ("bytes=0-1,3-4", 10, .whole),
        ] as [(String?, Int64, RangeSelection)])
    func selection(header: String?, sizeBytes: Int64, expected: RangeSelection) {
        #expect(RangeSelection(header: header, sizeBytes: sizeBytes) == expected)
    }

    @Test("a thousand ranges are refused")
    func manyRanges() {
        let header = "bytes=" + (0..<1000).map { "\($0)-\($0)" }.joined(separator: ",")
        #expect(RangeSelection(header: header, sizeBytes: 10) == .unsatisfiable)
    }

    @Test("Content-Range is inclusive")
    func contentRange() {
        #expect(ContentRange.part(0..<10, ofBytes: 20) == "bytes 0-9/20")
        #expect(ContentRange.unsatisfied(sizeBytes: 20) == "bytes */20")
    }

    @Test(
        "If-None-Match compares weakly, in a list",
        arguments: [
            (nil, false), ("\"a\"", true), ("\"b\"", false), ("*", true), ("W/\"a\"", true), ("\"b\", \"a\"", true),
            ("a", false),
        ] as [(String?, Bool)])
    func noneMatch(header: String?, holds: Bool) {
        #expect(Precondition.noneMatchHolds(header: header, entityTag: "\"a\"") == holds)
    }

    @Test(
        "If-Range compares strongly; a date never matches",
        arguments: [
            (nil, true), ("\"a\"", true), ("W/\"a\"", false), ("Thu, 01 Jan 1970 00:00:00 GMT", false),
        ] as [(String?, Bool)])
    func ifRange(header: String?, applies: Bool) {
        #expect(Precondition.rangeApplies(ifRange: header, entityTag: "\"a\"") == applies)
    }
}
