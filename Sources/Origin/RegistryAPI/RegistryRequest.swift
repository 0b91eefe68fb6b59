// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata
import OriginUploads

/// One admitted request to a repository.
struct RegistryRequest: Sendable {
    let request: Request
    let context: OriginRequestContext
    let target: RawTarget
    let host: RegistryHost
    let principal: Principal
    let organization: Organization
    let name: RepositoryName

    /// `/v2/<name>/<suffix>`, in the name form of the host that was called. Relative, so that it holds behind any
    /// proxy; every client resolves it.
    func location(_ suffix: String) -> String {
        "/v2/\(host.name(of: name, in: organization.slug))/\(suffix)"
    }

    /// - Throws: 400 for a query that cannot be decoded or has too many items.
    func query(countMax: Int = RawTarget.itemCountMax) throws(OCIFailure) -> FormItems {
        try target.items(countMax: countMax)
    }

    /// That it was done.
    func event(_ operation: RepositoryOperation) -> AuditEvent {
        let caller = Caller(request, context)
        return AuditEvent(
            organization: organization.slug.text, actor: principal.identity.actor, action: operation.name,
            target: "\(name)\(operation.subject)", outcome: .done, address: caller.address,
            requestID: caller.requestID)
    }

    var declaredBytes: Int64? { request.headers[.contentLength].flatMap { Int64($0) } }

    /// The body as an upload takes it.
    func uploadBody(chunk: Range<Int64>? = nil) -> UploadBody<RequestBody> {
        UploadBody(bytes: request.body, declaredBytes: declaredBytes, chunk: chunk) {
            [connection = context.connection] in
            await connection.sendContinue()
        }
    }
}

extension RawTarget {
    /// The query's items.
    /// - Throws: 400 for a query that cannot be decoded or has too many items.
    func items(countMax: Int = itemCountMax) throws(OCIFailure) -> FormItems {
        do throws(FormItems.Failure) { return try FormItems(query, countMax: countMax) } catch { throw .badQuery }
    }

    static let itemCountMax = 64
}

extension HTTPField.Name {
    static let dockerContentDigest = literal("docker-content-digest")
    static let dockerUploadUUID = literal("docker-upload-uuid")
    static let dockerAPIVersion = literal("docker-distribution-api-version")
    static let depotRedirect = literal("depot-redirect")
    static let link = literal("link")
    static let ociFiltersApplied = literal("oci-filters-applied")
    static let ociSubject = literal("oci-subject")
    static let ociTag = literal("oci-tag")
    static let warning = literal("warning")
}

extension Digest {
    /// RFC 9110 §8.8.3: a strong validator, since the bytes of a digest never change.
    var entityTag: String { "\"\(self)\"" }
}
