// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginMetadata

/// How far a remembered row may be believed.
enum Freshness: Sendable, Equatable {
    /// Use it without asking.
    case fresh
    /// Ask PostgreSQL; use it only if that is away.
    case stale
    /// Never use it.
    case expired
}

/// What authentication remembers of the metadata. A pure value: no clock, lock or I/O.
///
/// An entry is fresh while it, or the last poll of the change sequence that would have named it, is at most
/// `freshFor` old; it stands in for a database that is away for `staleFor`.
struct CredentialCache: Sendable {
    static let freshFor = Duration.seconds(2)
    static let staleFor = Duration.seconds(60)

    struct Entry<Value: Sendable>: Sendable {
        let value: Value
        let loadedAt: ContinuousClock.Instant
    }

    /// Rows read while a change arrived may predate it: they are used once and not kept.
    private(set) var epoch = 0
    private var syncedAt: ContinuousClock.Instant?

    /// By the SHA-256 of a registry token; immutable facts, so without age.
    var verifiedJWTs = BoundedCache<Digest, VerifiedJWT>(generationCountMax: 8192)
    var tokensBySecret = BoundedCache<Digest, Entry<TokenRecord?>>(generationCountMax: 8192)
    var tokensByID = BoundedCache<Int64, Entry<TokenRecord?>>(generationCountMax: 8192)
    var organizations = BoundedCache<OrganizationSlug, Entry<Organization?>>(generationCountMax: 1024)

    /// Which project a repository is linked to; asked only for tokens of projects.
    var projects = BoundedCache<RepositoryKey, Entry<Int64?>>(generationCountMax: 8192)

    struct RepositoryKey: Sendable, Hashable {
        let organizationID: Int64
        let name: RepositoryName
    }

    func freshness(loadedAt: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Freshness {
        let knownGoodAt = max(loadedAt, syncedAt ?? loadedAt)
        let age = now - knownGoodAt
        return age <= Self.freshFor ? .fresh : age <= Self.staleFor ? .stale : .expired
    }

    /// The change sequence was read to its end at `instant` and named nothing that is still held.
    mutating func synced(at instant: ContinuousClock.Instant) { syncedAt = instant }

    /// Rows changed. Changes of rights are rare and rows are cheap to read again, so all of them go.
    mutating func invalidate() {
        epoch += 1
        tokensBySecret.removeAll()
        tokensByID.removeAll()
        organizations.removeAll()
        projects.removeAll()
    }
}
