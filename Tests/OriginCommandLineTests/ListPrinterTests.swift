// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginCommandLine
import Testing

/// Lists, page by page.
@Suite struct ListPrinterTests {
    private static let pages: [[JSONValue]] = [
        [["name": "a", "count": 1], ["name": "longer"]], [], [["name": "b", "is_on": true]],
    ]

    private func text(_ format: ListPrinter.Format, _ pages: [[JSONValue]]) -> String {
        var printer = ListPrinter(format)
        return pages.map { printer.page($0) }.joined() + printer.end()
    }

    @Test("a table has one header, columns as wide as they have to be, and no space at the end of a line")
    func table() {
        let columns: [ListPrinter.Column] = [.init("name"), .init("count", "is_on", title: "VALUE")]
        #expect(
            text(.table(columns), Self.pages) == """
                NAME    VALUE
                a       1
                longer
                b       yes

                """)
        #expect(text(.table(columns), [[]]) == "NAME  VALUE\n")
    }

    @Test("a later page may need wider columns")
    func widening() {
        var table = Table(columnCount: 2)
        #expect(table.lines([["a", "b"]]) == "a  b\n")
        #expect(table.lines([["wide", "b"], ["a", "b"]]) == "wide  b\na     b\n")
        #expect(table.lines([["a", "b"]]) == "a     b\n")
    }

    @Test("as JSON, all pages are one array")
    func array() {
        #expect(
            text(.array, Self.pages) == #"[{"name":"a","count":1},{"name":"longer"},{"name":"b","is_on":true}]"# + "\n")
        #expect(text(.array, [[]]) == "[]\n")
        #expect(text(.array, [[], ["x"]]) == "[\"x\"]\n")
    }

    @Test("an export is an element a line")
    func lines() {
        #expect(text(.lines, [["a"], ["b", "c"]]) == "\"a\"\n\"b\"\n\"c\"\n")
        #expect(text(.lines, [[]]) == "")
    }

    @Test("a terminal is not told what strangers want to tell it")
    func escapes() {
        let shown = text(.table([.init("name")]), [[["name": "a\u{1B}[31m\u{202E}b\nc"]]])
        #expect(shown == "NAME\na?[31m?b?c\n")
    }

    @Test("lists and objects fit into a cell")
    func nested() {
        let element: JSONValue = ["claims": ["ref": ["a", "b"], "id": ["1"]], "none": .null]
        #expect(
            text(.table([.init("claims"), .init("none")]), [[element]]) == "CLAIMS        NONE\nref=a,b id=1\n")
    }
}
