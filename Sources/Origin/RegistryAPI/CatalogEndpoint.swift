// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata

/// `/v2/_catalog`: reserved by distribution-spec 1.1, and asked for by many tools.
extension RegistryAPI {
    /// The repositories that an identity sees on this host, in the name form of the host.
    func listCatalog(of identity: Identity, on host: RegistryHost, _ target: RawTarget) async throws -> Response {
        let wanted = try ListQuery(target.items(), countMax: configuration.repositoryCountMax)
        let page = try await repositoryNames(identity, host, wanted)
        var headers: HTTPFields = [:]
        if page.isCut, let last = page.elements.last { headers[.link] = wanted.link("/v2/_catalog", after: last) }
        let body = JSONValue.object([
            JSONMember(name: "repositories", value: .array(page.elements.map { .string($0) }))
        ])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: headers)
    }

    private func repositoryNames(
        _ identity: Identity,
        _ host: RegistryHost,
        _ wanted: ListQuery
    ) async throws -> Page<String> {
        guard let slug = host.organization else {
            return try await database.repositoryNames(identity.listed, after: wanted.after, limit: wanted.count)
        }
        guard let organization = try await auth.organization(slug: slug),
            let listed = identity.listed(inOrganization: organization.id)
        else { return .empty }
        let prefix = slug.text + "/"
        let page = try await database.repositoryNames(
            listed, after: wanted.after.map { prefix + $0 }, limit: wanted.count)
        return Page(page.elements.map { String($0.dropFirst(prefix.count)) }, isCut: page.isCut)
    }
}
