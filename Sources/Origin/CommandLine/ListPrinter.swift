// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Words a list, a page at a time, so that it takes no more memory than one page, however long the list is.
package struct ListPrinter {
    package enum Format: Sendable {
        /// For people.
        case table([Column])
        /// One array of all elements.
        case array
        /// NDJSON: an element a line.
        case lines
    }

    /// A column of a table.
    package struct Column: Sendable {
        let title: String
        let cell: @Sendable (JSONValue) -> String

        /// - Parameters:
        ///   - title: The members' name unless given.
        ///   - members: Of an element; the first that it has is shown.
        package init(_ members: String..., title: String? = nil) {
            self.title = title ?? members[0].replacing("_", with: " ").uppercased()
            cell = { element in Printable.text(members.lazy.compactMap { element[$0] }.first) }
        }
    }

    private let format: Format
    private var table: Table
    private var isFirstPage = true
    private var hasElements = false

    package init(_ format: Format) {
        self.format = format
        if case .table(let columns) = format {
            table = Table(columnCount: columns.count)
        } else {
            table = Table(columnCount: 0)
        }
    }

    /// - Returns: What is to be written for the page.
    package mutating func page(_ elements: [JSONValue]) -> String {
        defer {
            isFirstPage = false
            hasElements = hasElements || !elements.isEmpty
        }
        switch format {
        case .table(let columns):
            let rows = elements.map { element in columns.map { $0.cell(element) } }
            return table.lines(isFirstPage ? [columns.map(\.title)] + rows : rows)
        case .array:
            let start = isFirstPage ? "[" : ""
            let glue = hasElements && !elements.isEmpty ? "," : ""
            return start + glue + elements.map(Self.json).joined(separator: ",")
        case .lines:
            return elements.map { Self.json($0) + "\n" }.joined()
        }
    }

    /// - Returns: What is to be written behind the last page. There is at least one page.
    package func end() -> String {
        if case .array = format { "]\n" } else { "" }
    }

    private static func json(_ element: JSONValue) -> String { String(decoding: element.encode(), as: UTF8.self) }
}
