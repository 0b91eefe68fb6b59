// SPDX-License-Identifier: Apache-2.0

import Grammar
import Testing

@Suite("Raw request targets and query strings")
struct RawTargetTests {
    @Test("the path is split off and never decoded")
    func split() {
        let target = RawTarget("/v2//a%2fb/../c?x=1?y")
        #expect(target.path == "/v2//a%2fb/../c")
        #expect(target.query == "x=1?y")
        #expect(RawTarget("/v2/").query == nil)
    }

    @Test(
        "a prefix ends at a segment boundary",
        arguments: [("/v2", true), ("/v2/", true), ("/v2/x", true), ("/v2x", false), ("/", false), ("", false)])
    func prefix(path: String, isBelow: Bool) {
        #expect(RawTarget(path).isBelow("/v2") == isBelow)
    }

    @Test("items are decoded; order and duplicates stay")
    func items() throws {
        let items = try FormItems("scope=a%3Ab+c&scope=d&empty=&bare&&n=1")
        #expect(items.all("scope") == ["a:b c", "d"])
        #expect(items.only("scope") == nil)
        #expect(items.only("n") == "1")
        #expect(items.only("empty") == "")
        #expect(items.only("bare") == "")
        #expect(items.only("absent") == nil)
    }

    @Test("bad percent-encoding and bad UTF-8 are refused", arguments: ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1"])
    func badEncoding(query: String) {
        #expect(throws: FormItems.Failure.badEncoding) { try FormItems(Substring(query)) }
    }

    @Test("too many items are refused")
    func tooMany() {
        let query = Substring(repeatElement("a=1", count: 257).joined(separator: "&"))
        #expect(throws: FormItems.Failure.tooMany) { try FormItems(query) }
    }
}
