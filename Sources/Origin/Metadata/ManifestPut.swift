// SPDX-License-Identifier: Apache-2.0

package import OCI

package enum ManifestPut: Sendable, Hashable {
    case stored
    /// Stored, although these children of the index are not in the repository, in the order of their digests.
    case storedWithout([Digest])
    /// Refused: content that must be there and is not, in the order of the digests. Nothing was stored.
    case missing([Digest])
    /// Refused: a descriptor gives another size than its content has here. Clients that believe it could not pull.
    case sizeMismatch(Digest, sizeBytes: Int64)
}

extension Database {
    /// Stores a manifest and points tags at it, in one transaction.
    ///
    /// Against a collector that works at the same time: the rows of everything referenced are locked first, FOR KEY
    /// SHARE and in the order of the digests, and looked at in a statement after that, which sees what a collector did
    /// while this one waited. What is seen then stays until the commit.
    ///
    /// - Parameters:
    ///   - document: Parsed from `body`, whose digest is `digest`.
    ///   - missingReferences: What may be missing. Layers that registries must not distribute always may.
    /// - Throws: `.timeout` if a row stayed locked for longer than the statement timeout.
    package func putManifest(
        repositoryID: Int64,
        digest: Digest,
        document: ManifestDocument,
        body: [UInt8],
        tags: [Tag],
        missingReferences: MissingReferences
    ) async throws(DatabaseError) -> ManifestPut {
        let references = ManifestReferences(document)
        return try await transaction { session throws(DatabaseError) in
            try session.lockBlobs(references.blobs, in: repositoryID)
            try session.lockManifests(references.children, in: repositoryID)
            let blobs = try session.presentBlobs(references.blobs, in: repositoryID)
            let children = try session.presentManifests(references.children, in: repositoryID)
            let missing = references.required(missingReferences).subtracting(blobs.keys).subtracting(children.keys)
            guard missing.isEmpty else { return .missing(missing.sorted()) }
            for (kind, descriptor) in references.all {
                let sizeBytes = (kind == .child ? children : blobs)[descriptor.digest]
                if let sizeBytes, sizeBytes != descriptor.sizeBytes {
                    return .sizeMismatch(descriptor.digest, sizeBytes: sizeBytes)
                }
            }
            let isChanged = try session.upsertManifest(document, digest: digest, body: body, in: repositoryID)
            try session.upsertReferences(references, of: digest, presentBlobs: Set(blobs.keys), in: repositoryID)
            try session.moveTags(tags, to: digest, in: repositoryID)
            if isChanged { try session.appendChange(.changedManifest(digest, repositoryID: repositoryID)) }
            let absent = Set(references.children).subtracting(children.keys)
            return absent.isEmpty ? .stored : .storedWithout(absent.sorted())
        }
    }
}

/// What a manifest names, as the statements here need it.
private struct ManifestReferences: Sendable {
    let all: [(kind: ReferenceKind, descriptor: Descriptor)]

    init(_ document: ManifestDocument) {
        all = document.references.map { (kind: $0.0, descriptor: $0.1) }
    }

    /// Sorted, each once.
    var blobs: [Digest] { Set(all.filter { $0.kind != .child }.map(\.descriptor.digest)).sorted() }
    var children: [Digest] { Set(all.filter { $0.kind == .child }.map(\.descriptor.digest)).sorted() }

    func required(_ missingReferences: MissingReferences) -> Set<Digest> {
        Set(
            all.filter { reference in
                switch (missingReferences, reference.kind) {
                case (.all, _), (.children, .child): false
                case (.none, _), (.children, .config), (.children, .layer): !reference.descriptor.isNondistributable
                }
            }.map(\.descriptor.digest))
    }
}

extension Session {
    fileprivate func lockBlobs(_ digests: [Digest], in repositoryID: Int64) throws(DatabaseError) {
        guard !digests.isEmpty else { return }
        try query(
            """
            SELECT FROM blobs b JOIN repository_blobs l ON l.digest = b.digest
            WHERE l.repository_id = $1 AND l.digest = ANY ($2) ORDER BY b.digest FOR KEY SHARE OF b, l
            """,
            .int8(repositoryID), .digests(digests))
    }

    fileprivate func lockManifests(_ digests: [Digest], in repositoryID: Int64) throws(DatabaseError) {
        guard !digests.isEmpty else { return }
        try query(
            """
            SELECT FROM manifests WHERE repository_id = $1 AND digest = ANY ($2) ORDER BY digest FOR KEY SHARE
            """,
            .int8(repositoryID), .digests(digests))
    }

    /// With their sizes.
    fileprivate func presentBlobs(
        _ digests: [Digest],
        in repositoryID: Int64
    ) throws(DatabaseError) -> [Digest: Int64] {
        guard !digests.isEmpty else { return [:] }
        return try query(
            """
            SELECT l.digest, b.size_bytes FROM repository_blobs l JOIN blobs b ON b.digest = l.digest
            WHERE l.repository_id = $1 AND l.digest = ANY ($2) AND b.state = 'live'
            """,
            .int8(repositoryID), .digests(digests)
        ).sizes()
    }

    /// With their sizes.
    fileprivate func presentManifests(
        _ digests: [Digest],
        in repositoryID: Int64
    ) throws(DatabaseError) -> [Digest: Int64] {
        guard !digests.isEmpty else { return [:] }
        return try query(
            """
            SELECT digest, octet_length(body)::bigint FROM manifests WHERE repository_id = $1 AND digest = ANY ($2)
            """,
            .int8(repositoryID), .digests(digests)
        ).sizes()
    }

    /// - Returns: Whether it was there with another media type.
    fileprivate func upsertManifest(
        _ document: ManifestDocument,
        digest: Digest,
        body: [UInt8],
        in repositoryID: Int64
    ) throws(DatabaseError) -> Bool {
        // A body that does not name its media type can be pushed again under another one.
        let rows = try query(
            """
            INSERT INTO manifests AS m
                (repository_id, digest, media_type, body, artifact_type, subject_digest, annotations)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (repository_id, digest) DO UPDATE
            SET media_type = excluded.media_type, artifact_type = excluded.artifact_type
            WHERE m.media_type <> excluded.media_type
            RETURNING xmax <> 0
            """,
            .int8(repositoryID), .digest(digest), .text(document.mediaType), .bytea(body),
            .text(document.referrerArtifactType), .digest(document.subject?.digest),
            .bytea(document.referrerAnnotations))
        // Of the row that was written: xmax is 0 only in one that is new.
        guard let row = rows.first else { return false }
        return try row[0]
    }

    fileprivate func upsertReferences(
        _ references: ManifestReferences,
        of manifest: Digest,
        presentBlobs: Set<Digest>,
        in repositoryID: Int64
    ) throws(DatabaseError) {
        guard !references.all.isEmpty else { return }
        let digests = references.all.map(\.descriptor.digest)
        let linked = references.all.map { reference in
            reference.kind != .child && presentBlobs.contains(reference.descriptor.digest)
                ? reference.descriptor.digest.description : nil
        }
        // A manifest that is pushed again may find blobs that were missing before.
        try query(
            """
            INSERT INTO manifest_references AS r
                (repository_id, manifest_digest, position, kind, digest, size_bytes, linked_digest)
            SELECT $1, $2, position - 1, kind, digest, size_bytes, linked_digest
            FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[]) WITH ORDINALITY
                AS given (kind, digest, size_bytes, linked_digest, position)
            ON CONFLICT (repository_id, manifest_digest, position) DO UPDATE
            SET linked_digest = excluded.linked_digest
            WHERE r.linked_digest IS DISTINCT FROM excluded.linked_digest
            """,
            .int8(repositoryID), .digest(manifest), .textArray(references.all.map(\.kind.rawValue)), .digests(digests),
            .int8Array(references.all.map(\.descriptor.sizeBytes)), .textArray(linked))
    }

    fileprivate func moveTags(_ tags: [Tag], to digest: Digest, in repositoryID: Int64) throws(DatabaseError) {
        guard !tags.isEmpty else { return }
        // Sorted, as all who lock several tags do; each once, as one statement cannot move a tag twice.
        try query(
            """
            INSERT INTO tags AS t (repository_id, name, digest)
            SELECT $1, name, $3 FROM unnest($2::text[]) AS given (name) ORDER BY name
            ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = now()
            """,
            .int8(repositoryID), .textArray(Set(tags.map(\.text)).sorted()), .digest(digest))
    }
}

extension Rows {
    /// Columns: digest, size.
    fileprivate func sizes() throws(DatabaseError) -> [Digest: Int64] {
        var sizes: [Digest: Int64] = [:]
        for row in self { sizes[try row[0]] = try row[1] }
        return sizes
    }
}

extension ManifestDocument {
    /// What a referrers list shows: an image without a type of its own is known by its config's media type.
    fileprivate var referrerArtifactType: String? {
        if let artifactType, !artifactType.isEmpty { return artifactType }
        return config?.mediaType
    }

    /// What a referrers list shows besides; `nil` for a manifest that is no referrer or has none.
    fileprivate var referrerAnnotations: [UInt8]? {
        guard subject != nil, !annotations.isEmpty else { return nil }
        return JSONValue.object(
            annotations.sorted { $0.key < $1.key }.map { JSONMember(name: $0.key, value: .string($0.value)) }
        ).encode()
    }
}
