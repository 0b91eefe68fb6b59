// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginMetadata
import TestSupport
import Testing

/// A database with one organization and two repositories.
struct RepositoryFixture: Sendable {
    let lease: PostgresLease
    let database: Database
    let repositoryID: Int64
    let otherID: Int64
    let holder = LeaseHolder(originID: "origin-1", processID: "start-1")

    init() async throws {
        lease = try await PostgresLease()
        database = try await lease.database { $0.connectionCountMax = 8 }
        let slug = try #require(OrganizationSlug("acme"))
        let organization = try await database.createOrganization(slug: slug, label: "abcdefghij012345")
        repositoryID = try await database.ensureRepository(
            organizationID: organization.id, name: try #require(RepositoryName("app"))
        ).id
        otherID = try await database.ensureRepository(
            organizationID: organization.id, name: try #require(RepositoryName("other"))
        ).id
    }

    /// Stores a blob of one byte.
    @discardableResult
    func commit(
        _ digest: Digest,
        key: String? = nil,
        hasPieces: Bool = true,
        replacing damagedKey: String? = nil
    ) async throws -> String {
        let commit = try await database.commitBlob(
            sessionID: nil,
            holder: holder,
            repositoryID: repositoryID,
            digest: digest,
            storageKey: key ?? "key-\(digest.hex.prefix(8))",
            sizeBytes: 1,
            hasPieces: hasPieces,
            replacing: damagedKey)
        return try #require(commit).storageKey
    }

    /// Stores a manifest under the digest of the fixture's choice.
    func put(
        _ digest: Digest,
        body: [UInt8],
        tags: [String] = [],
        missingReferences: MissingReferences = .children
    ) async throws -> ManifestPut {
        try await database.putManifest(
            repositoryID: repositoryID,
            digest: digest,
            document: try ManifestDocument(body: body, contentType: nil),
            body: body,
            tags: tags.compactMap { Tag($0) },
            missingReferences: missingReferences)
    }

    func count(_ sql: StaticString, _ parameter: SQLValue) async throws -> Int64 {
        try await database.run { session throws(DatabaseError) in
            guard let row = try session.query(sql, parameter).first else { return -1 }
            return try row[0]
        }
    }
}
