// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
package import OriginHTTP
import OriginMetadata

/// `/v2/_catalog`: reserved by distribution-spec 1.1, and asked for by many tools.
extension RegistryAPI {
    /// The repositories that an identity sees on this host, in the name form of the host.
    func listCatalog(of identity: Identity, on host: RegistryHost, _ target: RawTarget) async throws -> Response {
        let page = try CatalogPage(target.items(), countMax: configuration.repositoryCountMax)
        var names = try await repositoryNames(identity, host, page)
        var headers: HTTPFields = [:]
        if names.count > page.count {
            names.removeLast(names.count - page.count)
            if let last = names.last {
                headers[.link] = "</v2/_catalog?n=\(page.count)&last=\(FormItems.encoded(last))>; rel=\"next\""
            }
        }
        let body = JSONValue.object([
            JSONMember(name: "repositories", value: .array(names.map { .string($0) }))
        ])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: headers)
    }

    /// One more than the page holds, if there are as many.
    private func repositoryNames(
        _ identity: Identity,
        _ host: RegistryHost,
        _ page: CatalogPage
    ) async throws -> [String] {
        guard page.count > 0 else { return [] }
        guard let slug = host.organization else {
            guard identity.isAdministrator || identity.organizationID != nil else { return [] }
            return try await database.repositoryNames(
                organizationID: identity.isAdministrator ? nil : identity.organizationID, after: page.after,
                limit: page.count + 1)
        }
        guard let organization = try await auth.organization(slug: slug), identity.sees(organization) else { return [] }
        let prefix = slug.text + "/"
        return try await database.repositoryNames(
            organizationID: organization.id, after: page.after.map { prefix + $0 }, limit: page.count + 1
        ).map { String($0.dropFirst(prefix.count)) }
    }
}

/// `n` and `last` of the list of repositories.
package struct CatalogPage: Equatable, Sendable {
    package let count: Int
    /// Exclusive; need not be a repository that exists.
    package let after: String?

    /// - Throws: 400 for what is not a number, cannot be text of a name, or is there twice.
    package init(_ query: FormItems, countMax: Int) throws(OCIFailure) {
        count = try PageCount.read(query, countMax: countMax)
        let lasts = query.all("last")
        guard lasts.count <= 1,
            lasts.allSatisfy({ $0.utf8.count <= 512 && $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } })
        else { throw .pageInvalid }
        after = lasts.first
    }
}
