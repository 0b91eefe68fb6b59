// SPDX-License-Identifier: Apache-2.0

/// Part of a list, in the list's order.
package struct Page<Element: Sendable>: Sendable {
    package let elements: [Element]
    /// Whether the list has more behind the last of them.
    package let isCut: Bool

    package init(_ elements: [Element], isCut: Bool) {
        self.elements = elements
        self.isCut = isCut
    }

    /// - Parameters:
    ///   - found: One more than the page may hold, if the list has as many.
    ///   - limit: What the page may hold.
    init(_ found: [Element], limit: Int) {
        self.init(Array(found.prefix(limit)), isCut: found.count > limit)
    }

    package static var empty: Page { Page([], isCut: false) }
}
