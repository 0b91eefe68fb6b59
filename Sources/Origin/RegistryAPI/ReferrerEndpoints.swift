// SPDX-License-Identifier: Apache-2.0

package import Grammar
import HTTPTypes
import Hummingbird
import OCI
import OriginHTTP
import OriginMetadata

/// distribution-spec 1.1, "Listing Referrers".
extension RegistryAPI {
    /// An image index of the manifests that point at a digest. Whether that exists, or even the repository, makes no
    /// difference: what points at it may come first. Manifests that a client also lists under the referrers tag are here
    /// too, since each manifest with a subject is, and once.
    func listReferrers(_ digestText: Substring, _ request: RegistryRequest) async throws -> Response {
        guard let subject = Digest(digestText) else { throw OCIFailure.digestInvalid }
        let wanted = try ReferrerQuery(request.query(), countMax: configuration.referrerCountMax)
        var headers: HTTPFields = [:]
        if wanted.artifactType != nil { headers[.ociFiltersApplied] = "artifactType" }
        var entries: [JSONValue] = []
        if let repositoryID = try await index.repository(request.name, in: request.organization) {
            let page = try await database.referrers(
                repositoryID: repositoryID,
                subject: subject,
                artifactType: wanted.artifactType,
                after: wanted.after,
                limit: wanted.count,
                annotationBytesMax: configuration.referrerAnnotationBytesMax)
            entries = page.elements.map(\.descriptor)
            if page.isCut, let last = page.elements.last {
                headers[.link] = wanted.link(request.location("referrers/\(subject)"), after: last.digest)
            }
        }
        let list = JSONValue.object([
            JSONMember(name: "schemaVersion", value: .number("2")),
            JSONMember(name: "mediaType", value: .string(MediaType.ociIndex)),
            JSONMember(name: "manifests", value: .array(entries)),
        ])
        return .bytes(.ok, list.encode(), contentType: MediaType.ociIndex, headers: headers)
    }
}

/// `artifactType`, `n` and `last` of a list of referrers.
package struct ReferrerQuery: Equatable, Sendable {
    private let list: ListQuery
    let after: Digest?
    package let artifactType: String?

    var count: Int { list.count }

    /// - Throws: 400 for what is not a number or a digest, or is there twice.
    package init(_ query: FormItems, countMax: Int) throws(OCIFailure) {
        list = try ListQuery(query, countMax: countMax)
        let types = query.all("artifactType")
        guard types.count <= 1, types.allSatisfy(MediaType.isValid) else { throw .pageInvalid }
        after = list.after.flatMap { Digest($0) }
        guard (after == nil) == (list.after == nil) else { throw .pageInvalid }
        artifactType = types.first
    }

    /// The `Link` to the page behind this one.
    func link(_ path: String, after last: Digest) -> String {
        list.link(path, filter: artifactType.map { "artifactType=\(FormItems.encoded($0))&" } ?? "", after: "\(last)")
    }
}

extension ReferrerRecord {
    /// As an entry of the list. Stored annotations are what this registry encoded itself.
    fileprivate var descriptor: JSONValue {
        var members = [
            JSONMember(name: "mediaType", value: .string(mediaType)),
            JSONMember(name: "digest", value: .string(digest.description)),
            JSONMember(name: "size", value: .number(String(sizeBytes))),
        ]
        if let artifactType { members.append(JSONMember(name: "artifactType", value: .string(artifactType))) }
        if let annotations,
            let value = try? BoundedJSON.parse(annotations, limits: JSONLimits(bytesMax: annotations.count))
        {
            members.append(JSONMember(name: "annotations", value: value))
        }
        return .object(members)
    }
}
