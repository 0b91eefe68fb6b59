// SPDX-License-Identifier: Apache-2.0

package import Blocking
package import Logging
package import OriginBlobStore
package import OriginMetadata
import Synchronization
package import Telemetry

/// Removes files that no row names: what crashes leave behind, and files that a repair has replaced.
///
/// It walks the whole store every six hours, one 256th at a time. Nothing waits for it, and it may be ended at any point.
/// Origins that share a store each sweep it; removing twice is harmless.
package final class OrphanSweep: Sendable {
    package static let interval: Duration = .seconds(6 * 3600)
    private static let pauseBetweenFolders: Duration = .milliseconds(50)
    private static let keysPerQuery = 5000

    private let database: Database
    private let store: any BlobStore
    private let diskPool: BlockingPool
    private let logger: Logger
    private let sightings: Mutex<OrphanSightings>
    private let removedCount: Counter
    private let orphanCount: Gauge

    /// - Parameter patience: For so long a file must have been an orphan before it goes.
    package init(
        database: Database,
        store: any BlobStore,
        diskPool: BlockingPool,
        patience: Duration = .seconds(86_400),
        metrics: Metrics,
        logger: Logger
    ) {
        self.database = database
        self.store = store
        self.diskPool = diskPool
        self.logger = logger
        sightings = Mutex(OrphanSightings(patience: patience))
        removedCount = metrics.counter(
            "depot_origin_orphans_removed_total", help: "Files removed because no blob or upload names them.")
        orphanCount = metrics.gauge(
            "depot_origin_orphan_files", help: "Files that no blob or upload names, as of the last sweep.")
    }

    /// Sweeps until cancelled.
    package func run(clock: some Clock<Duration> = ContinuousClock()) async {
        repeat {
            do {
                try await sweep(pause: Self.pauseBetweenFolders, clock: clock)
            } catch is CancellationError {
                return
            } catch {
                logger.warning("orphan sweep broken off", metadata: ["error": "\(error)"])
            }
        } while (try? await clock.sleep(for: Self.interval)) != nil
    }

    /// One walk over the store.
    /// - Returns: How many files were removed.
    @discardableResult
    package func sweep(pause: Duration = .zero, clock: some Clock<Duration> = ContinuousClock()) async throws -> Int {
        var count = 0
        for prefix in UInt8.min...UInt8.max {
            // The files first: a file that gets its row in between is not taken for an orphan.
            let keys = try await diskPool.run { [store] in try store.keys(startingWith: prefix) }
            let orphans = try await orphans(among: keys)
            let due = sightings.withLock { $0.saw(orphans, of: prefix, at: .now) }
            for key in due {
                try await diskPool.run { [store] in try store.remove(key) }
                sightings.withLock { $0.removed(key, of: prefix) }
                removedCount.add(1)
                count += 1
            }
            if pause > .zero { try await clock.sleep(for: pause) }
        }
        let waiting = sightings.withLock { $0.count }
        orphanCount.set(waiting)
        if count + waiting > 0 {
            logger.notice("orphan files", metadata: ["removed": "\(count)", "waiting": "\(waiting)"])
        }
        return count
    }

    private func orphans(among keys: Set<BlobKey>) async throws -> Set<BlobKey> {
        var orphans: Set<BlobKey> = []
        var rest = keys.map(\.text)[...]
        while !rest.isEmpty {
            let unknown = try await database.unknownStorageKeys(Array(rest.prefix(Self.keysPerQuery)))
            orphans.formUnion(unknown.compactMap { BlobKey($0) })
            rest = rest.dropFirst(Self.keysPerQuery)
        }
        return orphans
    }
}
