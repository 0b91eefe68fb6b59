// SPDX-License-Identifier: Apache-2.0

import Testing

/// `Docs/faults.md` says which test makes what fail.
@Suite struct FaultTableTests {
    private static let rows: [(name: String, tests: [String])] =
        SourceTree.everything.first { $0.path == "Docs/faults.md" }?.lines.compactMap { line in
            guard line.hasPrefix("| F") else { return nil }
            let cells = line.split(separator: "|").map { $0.trimmingPrefix(" ") }
            let quoted = cells.last?.split(separator: "`", omittingEmptySubsequences: false) ?? []
            return (
                String(cells[0].prefix { $0 != " " }),
                stride(from: 1, to: quoted.count, by: 2).map { String(quoted[$0]) }
            )
        } ?? []

    @Test("each fault of a pull is in the table once, and the tests that it names exist")
    func table() {
        #expect(Self.rows.map(\.name).sorted() == ((1...9).map { "F\($0)" } + (24...36).map { "F\($0)" }).sorted())
        let lines = SourceTree.swiftTests.flatMap(\.lines)
        for row in Self.rows {
            #expect(!row.tests.isEmpty, "\(row.name) has no test")
            for test in row.tests {
                #expect(lines.contains { $0.contains("\"\(test)\"") }, "\(row.name): no test is called \(test)")
            }
        }
    }
}
