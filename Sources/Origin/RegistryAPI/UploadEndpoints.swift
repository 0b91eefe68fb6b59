// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Grammar
import HTTPTypes
import Hummingbird
import OCI
import OriginAuth
import OriginHTTP
import OriginMetadata
import OriginUploads

/// distribution-spec 1.1, "Pushing blobs": POST and PUT, single POST, chunks, mount; cancel is main's addition.
extension RegistryAPI {
    func startUpload(_ request: RegistryRequest) async throws -> Response {
        let query = try request.query()
        let mounted = try Self.digest("mount", in: query)
        let whole = try Self.digest("digest", in: query)
        let algorithm = try Self.algorithm(in: query) ?? (mounted ?? whole)?.algorithm ?? .sha256
        let repositoryID = try await index.ensuredRepository(request.name, in: request.organization)
        if let mounted {
            if try await mount(mounted, from: query.all("from"), into: repositoryID, request) {
                return Self.created(mounted, request)
            }
        } else if let whole {
            let epoch = index.epoch
            let blob = try await uploads.push(to: repositoryID, as: whole, request.uploadBody())
            return created(blob, in: repositoryID, since: epoch, request)
        }
        let status = try await uploads.begin(in: repositoryID, algorithm: algorithm)
        return .empty(.accepted, headers: Self.uploadHeaders(status, request))
    }

    func getUploadStatus(_ idText: Substring, _ request: RegistryRequest) async throws -> Response {
        let (id, repositoryID) = try await session(idText, request)
        let status = try await uploads.status(of: id, in: repositoryID)
        return .empty(.noContent, headers: Self.uploadHeaders(status, request))
    }

    func appendToUpload(_ idText: Substring, _ request: RegistryRequest) async throws -> Response {
        let (id, repositoryID) = try await session(idText, request)
        do {
            let chunk = try await chunk(of: id, in: repositoryID, request)
            let status = try await uploads.append(to: id, in: repositoryID, request.uploadBody(chunk: chunk))
            return .empty(.accepted, headers: Self.uploadHeaders(status, request))
        } catch let error as UploadError {
            throw OCIFailure(error) { Self.uploadHeaders(UploadStatus(id: id, sizeBytes: $0), request) }
        }
    }

    func finishUpload(_ idText: Substring, _ request: RegistryRequest) async throws -> Response {
        guard let digest = try Self.digest("digest", in: request.query()) else { throw OCIFailure.digestInvalid }
        let (id, repositoryID) = try await session(idText, request)
        do {
            let chunk = try await chunk(of: id, in: repositoryID, request)
            let body = request.uploadBody(chunk: chunk)
            let epoch = index.epoch
            let blob = try await uploads.finish(id, in: repositoryID, as: digest, body)
            return created(blob, in: repositoryID, since: epoch, request)
        } catch let error as UploadError {
            throw OCIFailure(error) { Self.uploadHeaders(UploadStatus(id: id, sizeBytes: $0), request) }
        }
    }

    func cancelUpload(_ idText: Substring, _ request: RegistryRequest) async throws -> Response {
        let (id, repositoryID) = try await session(idText, request)
        try await uploads.cancel(id, in: repositoryID)
        return .empty(.noContent)
    }

    // MARK: Requests

    /// - Throws: 404 for an id that is none, and in a repository that does not exist.
    private func session(_ text: Substring, _ request: RegistryRequest) async throws -> (id: UUID, repositoryID: Int64)
    {
        guard let id = UUID(uuidString: String(text)), id.uuidString.lowercased() == text,
            let repositoryID = try await index.repository(request.name, in: request.organization)
        else { throw OCIFailure.uploadUnknown }
        return (id, repositoryID)
    }

    /// The chunk's range; `nil` for a stream.
    /// - Throws: 400 if it is not of the grammar; `UploadError.outOfOrder` if no session can be there.
    private func chunk(of id: UUID, in repositoryID: Int64, _ request: RegistryRequest) async throws -> Range<Int64>? {
        guard let header = request.request.headers[.contentRange] else { return nil }
        do throws(ChunkRangeFault) {
            return try ChunkRange.parse(header)
        } catch {
            switch error {
            case .malformed: throw OCIFailure.chunkRangeInvalid
            case .impossible:
                throw UploadError.outOfOrder(sizeBytes: try await uploads.status(of: id, in: repositoryID).sizeBytes)
            }
        }
    }

    /// A digest in the query; `nil` if it is absent.
    private static func digest(_ name: String, in query: FormItems) throws(OCIFailure) -> Digest? {
        let values = query.all(name)
        guard let text = values.first else { return nil }
        guard values.count == 1, let digest = Digest(text) else { throw .digestInvalid }
        return digest
    }

    /// Main's addition to distribution-spec 1.1: the algorithm of the digest to come.
    private static func algorithm(in query: FormItems) throws(OCIFailure) -> DigestAlgorithm? {
        let values = query.all("digest-algorithm")
        guard let text = values.first else { return nil }
        guard values.count == 1, let algorithm = DigestAlgorithm(rawValue: text) else { throw .digestInvalid }
        return algorithm
    }

    /// Links a blob of another repository, or of any in the target's organization if none is named. Whatever stands in
    /// the way, the answer is that of an upload that begins: it tells nothing about what exists elsewhere.
    ///
    /// The right to the source is the identity's: clients name only the target when they ask for a registry token.
    private func mount(
        _ digest: Digest,
        from sources: [String],
        into repositoryID: Int64,
        _ request: RegistryRequest
    ) async throws -> Bool {
        let identity = request.principal.identity
        guard let text = sources.first else {
            // Who reaches only some repositories would have to name one.
            guard identity.reach(inOrganization: request.organization.id) == .everything else { return false }
            return try await database.mountBlob(digest, from: nil, into: repositoryID)
        }
        guard sources.count == 1, let (slug, name) = request.host.split(text),
            let organization = try await auth.organization(slug: slug),
            try await auth.rights(of: identity, in: organization, to: name)?.contains(.pull) == true,
            let sourceID = try await index.repository(name, in: organization)
        else { return false }
        return try await database.mountBlob(digest, from: sourceID, into: repositoryID)
    }

    // MARK: Answers

    private func created(
        _ blob: CommittedBlob,
        in repositoryID: Int64,
        since epoch: Int,
        _ request: RegistryRequest
    ) -> Response {
        index.remember(
            KnownBlob(sizeBytes: blob.sizeBytes, key: blob.key, hasPieces: true), blob.digest, in: repositoryID,
            since: epoch)
        return Self.created(blob.digest, request)
    }

    private static func created(_ digest: Digest, _ request: RegistryRequest) -> Response {
        .empty(
            .created,
            headers: [.location: request.location("blobs/\(digest)"), .dockerContentDigest: digest.description])
    }

    private static func uploadHeaders(_ status: UploadStatus, _ request: RegistryRequest) -> HTTPFields {
        let id = status.id.uuidString.lowercased()
        return [
            .location: request.location("blobs/uploads/\(id)"),
            .range: ChunkRange.text(sizeBytes: status.sizeBytes),
            .dockerUploadUUID: id,
        ]
    }
}
