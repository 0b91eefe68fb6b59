// SPDX-License-Identifier: Apache-2.0

package import Grammar

/// `n` and `last` of a list that comes in pages.
/// Spec: distribution-spec 1.1, "Listing Tags"; the catalog and the referrers follow it.
package struct ListQuery: Equatable, Sendable {
    package let count: Int
    /// Exclusive; need not be in the list.
    package let after: String?

    /// - Parameter countMax: Entries of one page, also where the client names no or a larger number.
    /// - Throws: 400 for what is not a number, cannot be text of a name, or is there twice.
    package init(_ query: FormItems, countMax: Int) throws(OCIFailure) {
        let counts = query.all("n")
        let lasts = query.all("last")
        guard counts.count <= 1, lasts.count <= 1, lasts.allSatisfy(Self.isText) else { throw .pageInvalid }
        after = lasts.first
        guard let text = counts.first else {
            count = countMax
            return
        }
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            throw .pageInvalid
        }
        // A number too large for an integer is larger than every page.
        count = min(Int(text) ?? countMax, countMax)
    }

    /// The `Link` to the page behind this one (RFC 8288). Relative: it holds behind any proxy.
    /// - Parameter filter: Items of the query, each ended by `&`, that the next page needs as well.
    func link(_ path: String, filter: String = "", after last: String) -> String {
        "<\(path)?\(filter)n=\(count)&last=\(FormItems.encoded(last))>; rel=\"next\""
    }

    private static func isText(_ text: String) -> Bool {
        text.utf8.count <= 512 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
