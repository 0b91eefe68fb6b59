// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import OriginRegistryAPI
import Testing

@Suite struct ListQueryTests {
    private func parse(_ query: String) throws -> ListQuery { try ListQuery(FormItems(query[...]), countMax: 1000) }

    @Test(
        "L5–L8: n is clamped, absent means a full page, zero means none, any last will do",
        arguments: [
            ("", 1000, nil), ("n=5", 5, nil), ("n=0", 0, nil), ("n=1000000", 1000, nil),
            ("n=18446744073709551616", 1000, nil),
            ("n=5&last=v1", 5, "v1"), ("last=not/a/tag", 1000, "not/a/tag"), ("ns=other", 1000, nil),
        ] as [(String, Int, String?)])
    func valid(query: String, count: Int, after: String?) throws {
        let list = try parse(query)
        #expect(list.count == count)
        #expect(list.after == after)
    }

    @Test(
        "L1–L4, L9: what is no number, twice there, or no text",
        arguments: [
            "n=-1", "n=abc", "n=1.5", "n=", "n=1&n=2", "last=%00", "last=a&last=b", "last=a%0Ab",
        ])
    func invalid(query: String) {
        #expect { try parse(query) } throws: { ($0 as? OCIFailure)?.status == .badRequest }
    }
}
