// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import Logging
package import OriginMetadata

/// Reads the change sequence every second and tells the caches of this origin: what changed, and that everything up
/// to now has been seen. Together with the caches' own rule this bounds how stale memory is.
package final class ChangeFollower: Sendable {
    package static let interval = Duration.seconds(1)
    private static let batchCountMax = 1000

    private let database: Database
    private let onChanges: @Sendable ([Change]) -> Void
    private let onSynced: @Sendable (ContinuousClock.Instant) -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - onChanges: Called with each batch, in order, before `onSynced`.
    ///   - onSynced: Called when the sequence was read to its end, with the instant at which that reading began.
    package init(
        database: Database,
        logger: Logger,
        onChanges: @escaping @Sendable ([Change]) -> Void,
        onSynced: @escaping @Sendable (ContinuousClock.Instant) -> Void
    ) {
        self.database = database
        self.logger = logger
        self.onChanges = onChanges
        self.onSynced = onSynced
    }

    /// Runs until its task is cancelled. While the database is away nothing is told, and caches grow stale.
    package func run() async {
        var cursor: Int64?
        var isAway = false
        while !Task.isCancelled {
            do throws(DatabaseError) {
                cursor = try await follow(after: cursor)
                if isAway { logger.notice("following changes again") }
                isAway = false
            } catch {
                if !isAway { logger.warning("cannot read changes", metadata: ["error": "\(error)"]) }
                isAway = true
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    private func follow(after cursor: Int64?) async throws(DatabaseError) -> Int64 {
        let began = ContinuousClock.now
        // Nothing is remembered yet at the first reading, so what came before it concerns nobody.
        guard var cursor else { return try await database.latestChange() }
        while true {
            let changes = try await database.changes(after: cursor, limit: Self.batchCountMax)
            if !changes.isEmpty { onChanges(changes) }
            cursor = changes.last?.id ?? cursor
            if changes.count < Self.batchCountMax { break }
        }
        onSynced(began)
        return cursor
    }
}
