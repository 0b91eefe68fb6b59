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
/// Origins that share a store each sweep it; removing twice is harmless. What is due is asked for once more right before
/// it goes, and stays while somebody writes to it: a single POST has no row before its end. Where a large part of the
/// files seems to belong to nothing, the database is the wrong one, and nothing goes.
package final class OrphanSweep: Sendable {
    package static let interval: Duration = .seconds(6 * 3600)
    private static let pauseBetweenFolders: Duration = .milliseconds(50)
    private static let keysPerQuery = 5000
    /// Of one folder: above both, the orphans are not believed.
    private static let (orphanCountMax, orphanShareMax) = (16, 0.25)

    private let database: Database
    private let store: any BlobStore
    private let diskPool: BlockingPool
    private let logger: Logger
    private let patience: Duration
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
        self.patience = patience
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
            let keys = try await diskPool.run { [store] in try store.keys(startingWith: prefix) }
            let orphans = try await orphans(among: keys)
            let due = sightings.withLock { $0.saw(orphans, of: prefix, at: .now) }
            if orphans.count > max(Self.orphanCountMax, Int(Double(keys.count) * Self.orphanShareMax)) {
                logger.error(
                    "many files belong to nothing: is this the right database?",
                    metadata: ["files": "\(keys.count)", "orphans": "\(orphans.count)"])
            } else {
                for key in due where try await remove(key) {
                    sightings.withLock { $0.removed(key, of: prefix) }
                    removedCount.add(1)
                    count += 1
                }
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

    /// - Returns: `false` if the file is somebody's after all, or could not be removed.
    private func remove(_ key: BlobKey) async throws -> Bool {
        guard try await !database.unknownStorageKeys([key.text]).isEmpty else { return false }
        do {
            return try await diskPool.run { [store, patience] in
                guard let idleTime = try store.idleTime(of: key), idleTime >= patience else { return false }
                try store.remove(key)
                return true
            }
        } catch {
            // One file that cannot be removed must not keep the others.
            logger.warning("orphan not removed", metadata: ["error": "\(error)", "blob.key": "\(key)"])
            return false
        }
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
