// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
package import OriginHTTP
import OriginMetadata

/// distribution-spec 1.1, "Listing tags".
extension RegistryAPI {
    func listTags(_ request: RegistryRequest) async throws -> Response {
        let page = try TagPage(request.query(), countMax: configuration.tagCountMax)
        let repositoryID = try await existingRepository(request)
        // One more than asked for tells whether a next page exists.
        var tags =
            page.count == 0
            ? [] : try await database.tags(repositoryID: repositoryID, after: page.after, limit: page.count + 1)
        var headers: HTTPFields = [:]
        if tags.count > page.count {
            tags.removeLast(tags.count - page.count)
            if let last = tags.last {
                headers[.link] =
                    "<\(request.location("tags/list"))?n=\(page.count)&last=\(last)>; rel=\"next\""
            }
        }
        let body = JSONValue.object([
            JSONMember(
                name: "name", value: .string(request.host.name(of: request.name, in: request.organization.slug))),
            JSONMember(name: "tags", value: .array(tags.map { .string($0.text) })),
        ])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: headers)
    }
}

/// `n` and `last` of a list of tags.
package struct TagPage: Equatable, Sendable {
    package let count: Int
    /// Exclusive; need not be a tag that exists.
    package let after: String?

    /// - Parameter countMax: Tags of one page, also where the client names no or a larger number.
    /// - Throws: 400 for what is not a number, cannot be text of a tag, or is there twice.
    package init(_ query: FormItems, countMax: Int) throws(OCIFailure) {
        count = try PageCount.read(query, countMax: countMax)
        let lasts = query.all("last")
        guard lasts.count <= 1 else { throw .pageInvalid }
        guard lasts.allSatisfy({ $0.utf8.count <= 255 && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }) else {
            throw .pageInvalid
        }
        after = lasts.first
    }
}

/// `n` of a list.
enum PageCount {
    /// - Returns: `countMax` where the client names no or a larger number.
    /// - Throws: 400 for what is not a number, or is there twice.
    static func read(_ query: FormItems, countMax: Int) throws(OCIFailure) -> Int {
        let counts = query.all("n")
        guard counts.count <= 1 else { throw .pageInvalid }
        guard let text = counts.first else { return countMax }
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            throw .pageInvalid
        }
        // A number too large for an integer is larger than every page.
        return min(Int(text) ?? countMax, countMax)
    }
}
