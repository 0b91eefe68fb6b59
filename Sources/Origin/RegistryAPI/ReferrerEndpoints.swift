// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
package import OCI
package import OriginHTTP
import OriginMetadata

/// distribution-spec 1.1, "Listing Referrers".
extension RegistryAPI {
    /// An image index of the manifests that point at a digest. Whether that exists, or even the repository, makes no
    /// difference: what points at it may come first. Manifests that a client also lists under the referrers tag are here
    /// too, since each manifest with a subject is, and once.
    func listReferrers(_ digestText: Substring, _ request: RegistryRequest) async throws -> Response {
        guard let subject = Digest(digestText) else { throw OCIFailure.digestInvalid }
        let page = try ReferrerPage(request.query(), countMax: configuration.referrerCountMax)
        var headers: HTTPFields = [:]
        if page.artifactType != nil { headers[.ociFiltersApplied] = "artifactType" }
        var entries: [JSONValue] = []
        if let repositoryID = try await index.repository(request.name, in: request.organization) {
            // One more than asked for tells whether a next page exists.
            var records = try await database.referrers(
                repositoryID: repositoryID,
                subject: subject,
                artifactType: page.artifactType,
                after: page.after,
                limit: page.count + 1,
                annotationBytesMax: configuration.referrerAnnotationBytesMax)
            let isCut = records.count > page.count
            if isCut { records.removeLast(records.count - page.count) }
            entries = records.map(\.descriptor)
            var next: Digest?
            if let last = records.last?.digest,
                isCut ? true : try await hasMore(after: last, subject, page, repositoryID)
            {
                next = last
            }
            if let next {
                headers[.link] =
                    "<\(request.location("referrers/\(subject)"))?\(page.next(after: next))>; rel=\"next\""
            }
        }
        let list = JSONValue.object([
            JSONMember(name: "schemaVersion", value: .number("2")),
            JSONMember(name: "mediaType", value: .string(MediaType.ociIndex)),
            JSONMember(name: "manifests", value: .array(entries)),
        ])
        return .bytes(.ok, list.encode(), contentType: MediaType.ociIndex, headers: headers)
    }

    /// Whether a page that its annotations have cut short is followed by another.
    private func hasMore(
        after last: Digest,
        _ subject: Digest,
        _ page: ReferrerPage,
        _ repositoryID: Int64
    ) async throws -> Bool {
        try await !database.referrers(
            repositoryID: repositoryID, subject: subject, artifactType: page.artifactType, after: last, limit: 1,
            annotationBytesMax: 0
        ).isEmpty
    }
}

/// `artifactType`, `n` and `last` of a list of referrers.
package struct ReferrerPage: Equatable, Sendable {
    package let count: Int
    /// Exclusive; need not be in the list.
    package let after: Digest?
    package let artifactType: String?

    /// - Throws: 400 for what is not a number or a digest, or is there twice.
    package init(_ query: FormItems, countMax: Int) throws(OCIFailure) {
        count = try PageCount.read(query, countMax: countMax)
        let lasts = query.all("last")
        let types = query.all("artifactType")
        guard lasts.count <= 1, types.count <= 1, types.allSatisfy(MediaType.isValid) else { throw .pageInvalid }
        if let text = lasts.first {
            guard let digest = Digest(text) else { throw .pageInvalid }
            after = digest
        } else {
            after = nil
        }
        artifactType = types.first
    }

    /// The query of the page behind this one.
    func next(after last: Digest) -> String {
        let filter = artifactType.map { "artifactType=\(FormItems.encoded($0))&" } ?? ""
        return "\(filter)n=\(count)&last=\(last)"
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
