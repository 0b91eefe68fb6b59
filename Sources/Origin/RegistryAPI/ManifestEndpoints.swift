// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
import Hashing
import Hummingbird
import OCI
import OriginHTTP
import OriginMetadata

/// distribution-spec 1.1, "Pulling manifests", "Pushing manifests" and "Content Management". The bytes pushed are the
/// bytes pulled.
extension RegistryAPI {
    func getManifest(_ referenceText: Substring, _ request: RegistryRequest) async throws -> Response {
        let manifest = try await manifest(referenceText, request)
        if Self.isHeld(manifest, by: request) { return .empty(.notModified, headers: Self.headers(of: manifest)) }
        return .bytes(
            .ok, manifest.body, contentType: manifest.mediaType, headers: Self.headers(of: manifest))
    }

    func headManifest(_ referenceText: Substring, _ request: RegistryRequest) async throws -> Response {
        let manifest = try await manifest(referenceText, request)
        var headers = Self.headers(of: manifest)
        if Self.isHeld(manifest, by: request) { return .empty(.notModified, headers: headers) }
        headers[.contentType] = manifest.mediaType
        return .empty(.ok, headers: headers, contentLength: Int64(manifest.body.count))
    }

    func putManifest(_ referenceText: Substring, _ request: RegistryRequest) async throws -> Response {
        let reference: Reference
        switch ReferenceText(referenceText) {
        case .reference(let parsed): reference = parsed
        case .invalidDigest: throw OCIFailure.digestInvalid
        case .invalidTag: throw OCIFailure.tagInvalid
        }
        let tags = try Self.tags(in: request, countMax: configuration.pushedTagCountMax)
        let (body, document) = try await pushedManifest(request)
        let (digest, ownTag) = try Self.identify(body, as: reference)
        let allTags = ownTag.map { own in [own] + tags.filter { $0 != own } } ?? tags
        let repositoryID = try await index.ensuredRepository(request.name, in: request.organization)
        try await index.prepareToMoveTags()
        defer { index.pushed(digest, allTags, in: repositoryID) }
        let outcome = try await database.putManifest(
            repositoryID: repositoryID,
            digest: digest,
            document: document,
            body: body,
            tags: allTags,
            missingReferences: request.organization.missingReferences)
        var headers: HTTPFields = [
            .location: request.location("manifests/\(digest)"), .dockerContentDigest: digest.description,
        ]
        switch outcome {
        case .missing(let digests): throw OCIFailure.referencesUnknown(digests)
        case .sizeMismatch(let digest, let sizeBytes): throw OCIFailure.sizeMismatch(digest, sizeBytes: sizeBytes)
        case .stored: break
        case .storedWithout(let children): headers[.warning] = RegistryWarning.childrenMissing(children).header
        }
        if !allTags.isEmpty { headers[.ociTag] = allTags.map(\.text).joined(separator: ", ") }
        // Tells the client that it need not keep a referrers tag itself ("Pushing Manifests with Subject").
        if let subject = document.subject { headers[.ociSubject] = subject.digest.description }
        return .empty(.created, headers: headers)
    }

    /// The body, read and checked for itself. A text of megabytes becomes tens of megabytes of values: only some are
    /// taken in at a time, and two are read.
    private func pushedManifest(_ request: RegistryRequest) async throws -> ([UInt8], ManifestDocument) {
        guard (request.declaredBytes ?? .max) > Self.smallBytesMax else {
            let body = try await body(of: request)
            return (body, try Self.document(body, request))
        }
        let pushed = try await largeBodies.pass {
            let body = try await body(of: request)
            let document = try await largeManifests.pass { try Self.document(body, request) }
            return document.map { (body, $0) }
        }
        guard let pushed, let pushed else { throw OCIFailure(.serviceUnavailable, retryAfterSeconds: 1) }
        return pushed
    }

    private static let smallBytesMax: Int64 = 256 * 1024

    private static func document(_ body: [UInt8], _ request: RegistryRequest) throws(OCIFailure) -> ManifestDocument {
        let document: ManifestDocument
        do throws(OCIError) {
            document = try ManifestDocument(body: body, contentType: request.request.headers[.contentType])
        } catch {
            throw OCIFailure(error)
        }
        try checkData(of: document)
        return document
    }

    /// The `tag` items of the query: further tags for what is pushed, all of them or none (main's addition to
    /// distribution-spec 1.1). Each once, in the order of the request.
    /// - Throws: 400 for one that is no tag, 414 for too many.
    private static func tags(in request: RegistryRequest, countMax: Int) throws(OCIFailure) -> [Tag] {
        var tags: [Tag] = []
        for text in try request.query(countMax: 4096).all("tag") {
            guard let tag = Tag(text) else { throw .tagInvalid }
            if !tags.contains(tag) { tags.append(tag) }
            guard tags.count <= countMax else { throw .tooManyTags(countMax: countMax) }
        }
        return tags
    }

    /// A tag alone, or a manifest with all tags that point at it.
    /// Spec: distribution-spec 1.1, "Deleting tags", "Deleting Manifests".
    func deleteManifest(_ referenceText: Substring, _ request: RegistryRequest) async throws -> Response {
        let reference = try Self.reference(referenceText)
        let repositoryID = try await existingRepository(request)
        try await index.prepareToMoveTags()
        switch reference {
        case .tag(let tag):
            defer { index.deleted(tag, in: repositoryID) }
            guard try await database.deleteTag(repositoryID: repositoryID, tag) else {
                throw OCIFailure.manifestUnknown
            }
        case .digest(let digest):
            let keepsChildren = request.organization.missingReferences == .none
            defer { index.deleted(digest, in: repositoryID) }
            switch try await database.deleteManifest(
                repositoryID: repositoryID, digest: digest, keepsChildren: keepsChildren)
            {
            case .deleted: break
            case .unknown: throw OCIFailure.manifestUnknown
            case .needed(let index): throw OCIFailure.manifestNeeded(by: index)
            }
        }
        return .empty(.accepted)
    }

    /// What names a manifest to be read or deleted.
    private static func reference(_ text: Substring) throws(OCIFailure) -> Reference {
        switch ReferenceText(text) {
        case .reference(let parsed): return parsed
        case .invalidDigest: throw .digestInvalid
        case .invalidTag: throw .manifestUnknown  // No tag of that name can exist.
        }
    }

    private func manifest(_ referenceText: Substring, _ request: RegistryRequest) async throws -> ManifestRecord {
        let reference = try Self.reference(referenceText)
        let repositoryID = try await existingRepository(request)
        let record =
            switch reference {
            case .tag(let tag): try await index.manifest(tag, in: repositoryID)
            case .digest(let digest): try await index.manifest(digest, in: repositoryID)
            }
        guard let record else { throw OCIFailure.manifestUnknown }
        return record
    }

    private func body(of request: RegistryRequest) async throws -> [UInt8] {
        do {
            return try await collectBody(
                request.request, context: request.context, bytesMax: configuration.manifestBytesMax)
        } catch let error as BodyTooLarge {
            throw OCIFailure.manifestTooLarge(bytesMax: error.bytesMax)
        }
    }

    /// The digest that the manifest is stored under: the one that the client named, or SHA-256 under a tag.
    private static func identify(_ body: [UInt8], as reference: Reference) throws(OCIFailure) -> (Digest, Tag?) {
        switch reference {
        case .tag(let tag):
            return (SHA256.hash(body), tag)
        case .digest(let digest):
            let actual = Self.digest(of: body, digest.algorithm)
            guard actual == digest else { throw .digestMismatch(actual) }
            return (digest, nil)
        }
    }

    /// image-spec, "Content Descriptors": clients may take `data` in place of the content, so it has to be the content.
    private static func checkData(of document: ManifestDocument) throws(OCIFailure) {
        for descriptor in document.descriptorsWithData {
            guard let data = descriptor.data, digest(of: data, descriptor.digest.algorithm) != descriptor.digest else {
                continue
            }
            throw OCIFailure(.badRequest, .manifestInvalid, "data of \(descriptor.digest) is other content")
        }
    }

    private static func digest(of bytes: [UInt8], _ algorithm: DigestAlgorithm) -> Digest {
        var hash = StreamingHash(algorithm)
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.finalized()
    }

    private static func isHeld(_ manifest: ManifestRecord, by request: RegistryRequest) -> Bool {
        Precondition.noneMatchHolds(
            header: request.request.headers[.ifNoneMatch], entityTag: manifest.digest.entityTag)
    }

    private static func headers(of manifest: ManifestRecord) -> HTTPFields {
        [.dockerContentDigest: manifest.digest.description, .eTag: manifest.digest.entityTag]
    }
}
