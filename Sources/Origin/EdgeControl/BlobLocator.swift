// SPDX-License-Identifier: Apache-2.0

package import OCI
import OriginAuth
package import OriginMetadata
import Synchronization

/// Finds the stored bytes of a digest, whichever repository holds it: only for callers who have shown a link.
///
/// A fill of one large blob comes here thousands of times, so what was found is remembered for a moment.
package final class BlobLocator: Sendable {
    private static let freshFor = Duration.seconds(2)
    /// While the database is away.
    private static let staleFor = Duration.seconds(60)

    private struct Entry: Sendable {
        let record: StoredBlobRecord
        let foundAt: ContinuousClock.Instant
    }

    private let database: Database
    private let remembered = Mutex(BoundedCache<Digest, Entry>(generationCountMax: 4096))

    package init(database: Database) { self.database = database }

    /// - Returns: `nil` if no blob of this digest is stored.
    package func blob(_ digest: Digest) async throws(DatabaseError) -> StoredBlobRecord? {
        let now = ContinuousClock.now
        let known = remembered.withLock { $0.value(for: digest) }
        if let known, now - known.foundAt <= Self.freshFor { return known.record }
        do throws(DatabaseError) {
            guard let record = try await database.storedBlob(digest) else { return nil }
            remembered.withLock { $0.insert(Entry(record: record, foundAt: now), for: digest) }
            return record
        } catch {
            guard error.isDatabaseAway, let known, now - known.foundAt <= Self.staleFor else { throw error }
            return known.record
        }
    }
}
