// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata

/// distribution-spec 1.1, "Listing tags".
extension RegistryAPI {
    func listTags(_ request: RegistryRequest) async throws -> Response {
        let wanted = try ListQuery(request.query(), countMax: configuration.tagCountMax)
        let repositoryID = try await existingRepository(request)
        let page = try await database.tags(repositoryID: repositoryID, after: wanted.after, limit: wanted.count)
        var headers: HTTPFields = [:]
        if page.isCut, let last = page.elements.last {
            headers[.link] = wanted.link(request.location("tags/list"), after: last.text)
        }
        let body = JSONValue.object([
            JSONMember(
                name: "name", value: .string(request.host.name(of: request.name, in: request.organization.slug))),
            JSONMember(name: "tags", value: .array(page.elements.map { .string($0.text) })),
        ])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: headers)
    }
}
