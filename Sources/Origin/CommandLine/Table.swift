// SPDX-License-Identifier: Apache-2.0

/// Rows for people: columns padded to their widest cell, no space at the end of a line.
package struct Table {
    private var widths: [Int]

    package init(columnCount: Int) { widths = Array(repeating: 0, count: columnCount) }

    /// - Parameter rows: As many cells as there are columns. Rows that come later are padded like these, or wider.
    /// - Returns: Lines, each with its end.
    package mutating func lines(_ rows: [[String]]) -> String {
        for column in widths.indices {
            widths[column] = max(widths[column], rows.map { $0[column].count }.max() ?? 0)
        }
        return rows.map(line).joined()
    }

    private func line(_ cells: [String]) -> String {
        var line = ""
        for (cell, width) in zip(cells, widths) {
            line += cell + String(repeating: " ", count: width - cell.count + 2)
        }
        while line.last == " " { line.removeLast() }
        return line + "\n"
    }
}
