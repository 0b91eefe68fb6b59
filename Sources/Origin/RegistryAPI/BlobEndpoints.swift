// SPDX-License-Identifier: Apache-2.0

import Blocking
import Grammar
import HTTPTypes
import Hummingbird
import OCI
import OriginBlobStore
import OriginEdgeControl
import OriginHTTP
import OriginMetadata
import Telemetry

/// distribution-spec 1.1, "Pulling blobs" and "Checking if content exists".
extension RegistryAPI {
    /// 307 to an edge, or the bytes themselves. Once its look-ups are warm a redirect makes no query and no write:
    /// containerd's parallel pull asks 6,000 times for one 50 GB blob.
    func getBlob(_ digestText: Substring, _ request: RegistryRequest) async throws -> Response {
        let (digest, blob, repositoryID) = try await knownBlob(digestText, request)
        let fields = request.request.headers
        if Precondition.noneMatchHolds(header: fields[.ifNoneMatch], entityTag: digest.entityTag) {
            return .empty(.notModified, headers: Self.blobHeaders(digest))
        }
        if let url = redirect(digest, blob, request) {
            redirectCount.add(1)
            return .empty(
                .temporaryRedirect,
                headers: [.location: url, .cacheControl: "no-store", .dockerContentDigest: digest.description])
        }
        return try await sendBlob(digest, blob, in: repositoryID, request)
    }

    /// Answered at the origin: clients ask before they push, and an edge does not know rights.
    func headBlob(_ digestText: Substring, _ request: RegistryRequest) async throws -> Response {
        let (digest, blob, _) = try await knownBlob(digestText, request)
        return .empty(.ok, headers: Self.blobHeaders(digest), contentLength: blob.sizeBytes)
    }

    /// Takes the blob out of this repository: at once for this origin, within 2 s for the others. Links that were handed
    /// out before hold until they expire.
    /// Spec: distribution-spec 1.1, "Deleting Blobs".
    func deleteBlob(_ digestText: Substring, _ request: RegistryRequest) async throws -> Response {
        guard let digest = Digest(digestText) else { throw OCIFailure.digestInvalid }
        let repositoryID = try await existingRepository(request)
        // Also if it fails: the outcome of a commit may be unknown.
        defer { index.forget(digest, in: repositoryID) }
        switch try await database.unlinkBlob(digest, inRepository: repositoryID) {
        case .unlinked: return .empty(.accepted)
        case .unknown: throw OCIFailure.blobUnknown
        case .inUse: throw OCIFailure.blobInUse
        }
    }

    private func knownBlob(
        _ digestText: Substring,
        _ request: RegistryRequest
    ) async throws -> (digest: Digest, blob: KnownBlob, repositoryID: Int64) {
        guard let digest = Digest(digestText) else { throw OCIFailure.digestInvalid }
        let repositoryID = try await existingRepository(request)
        guard let blob = try await index.blob(digest, in: repositoryID) else { throw OCIFailure.blobUnknown }
        return (digest, blob, repositoryID)
    }

    /// - Returns: `nil` if the origin has to serve the blob: it is small, has no piece list that an edge could check,
    ///   no edge is healthy, or the client asked for it.
    private func redirect(_ digest: Digest, _ blob: KnownBlob, _ request: RegistryRequest) -> String? {
        guard blob.sizeBytes > configuration.directServeBytesMax, blob.hasPieces,
            request.request.headers[.depotRedirect]?.lowercased() != "never"
        else { return nil }
        return fleet.redirect(
            for: digest,
            sizeBytes: blob.sizeBytes,
            organization: request.organization,
            client: request.context.remoteAddress)
    }

    private func sendBlob(
        _ digest: Digest,
        _ blob: KnownBlob,
        in repositoryID: Int64,
        _ request: RegistryRequest
    ) async throws -> Response {
        let stored = try await openBlob(digest, blob, in: repositoryID)
        var headers = Self.blobHeaders(digest)
        let fields = request.request.headers
        let isRangeWanted = Precondition.rangeApplies(ifRange: fields[.ifRange], entityTag: digest.entityTag)
        let range: Range<Int64>
        let status: HTTPResponse.Status
        switch RangeSelection(header: isRangeWanted ? fields[.range] : nil, sizeBytes: blob.sizeBytes) {
        case .whole:
            (range, status) = (0..<blob.sizeBytes, .ok)
        case .part(let part):
            (range, status) = (part, .partialContent)
            headers[.contentRange] = ContentRange.part(part, ofBytes: blob.sizeBytes)
        case .unsatisfiable:
            throw OCIFailure.rangeNotSatisfiable(ContentRange.unsatisfied(sizeBytes: blob.sizeBytes))
        }
        return try await FileBody.response(
            file: stored.file,
            range: range,
            status: status,
            headers: headers,
            context: request.context,
            sent: { [servedBytes] byteCount in servedBytes.add(Int(byteCount)) })
    }

    /// Opens a blob's file. If memory named a file that is not there or not whole, the database is asked once: another
    /// origin may have healed the blob.
    ///
    /// - Throws: `BlobStoreError`: a file that is missing or short is damage, never a 404.
    private func openBlob(_ digest: Digest, _ blob: KnownBlob, in repositoryID: Int64) async throws -> StoredBlob {
        if let stored = try await wholeFile(of: blob) { return stored }
        index.forget(digest, in: repositoryID)
        guard let current = try await index.blob(digest, in: repositoryID) else { throw OCIFailure.blobUnknown }
        guard let stored = try await wholeFile(of: current) else {
            throw BlobStoreError(.damaged, "\(digest) is not whole in \(current.key)")
        }
        return stored
    }

    private func wholeFile(of blob: KnownBlob) async throws -> StoredBlob? {
        let stored = try await diskPool.run { [store] in try store.open(blob.key) }
        return stored.flatMap { $0.sizeBytes == blob.sizeBytes ? $0 : nil }
    }

    private static func blobHeaders(_ digest: Digest) -> HTTPFields {
        [
            .contentType: "application/octet-stream",
            .dockerContentDigest: digest.description,
            .eTag: digest.entityTag,
            .acceptRanges: "bytes",
        ]
    }
}
