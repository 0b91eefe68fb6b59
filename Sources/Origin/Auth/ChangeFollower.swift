// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import Logging
package import OriginMetadata

/// Reads the change sequence every second and tells the caches of this origin: what changed, and that everything up
/// to now has been seen. Together with the caches' own rule this bounds how stale memory is. Also removes changes that
/// are too old to concern anybody.
package final class ChangeFollower: Sendable {
    package static let interval = Duration.seconds(1)
    private static let batchCountMax = 1000
    /// An origin that has not read for half of this forgets everything when it reads again.
    private static let keptFor = Duration.seconds(3600)
    private static let readingsPerRemoval = 600

    private let database: Database
    private let onChanges: @Sendable ([Change]) -> Void
    private let onGap: @Sendable () -> Void
    private let onSynced: @Sendable (ContinuousClock.Instant) -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - onChanges: Called with each batch, in order, before `onSynced`.
    ///   - onGap: Called when anything may have changed: at the first reading, since memory may be older than that, and
    ///     after a time without readings.
    ///   - onSynced: Called when the sequence was read to its end, with the instant at which that reading began.
    package init(
        database: Database,
        logger: Logger,
        onChanges: @escaping @Sendable ([Change]) -> Void,
        onGap: @escaping @Sendable () -> Void,
        onSynced: @escaping @Sendable (ContinuousClock.Instant) -> Void
    ) {
        self.database = database
        self.logger = logger
        self.onChanges = onChanges
        self.onGap = onGap
        self.onSynced = onSynced
    }

    private struct Position {
        var cursor: Int64
        var readAt: ContinuousClock.Instant
    }

    /// Runs until its task is cancelled. While the database is away nothing is told, and caches grow stale.
    package func run() async {
        var position: Position?
        var isAway = false
        var readingCount = 0
        while !Task.isCancelled {
            do throws(DatabaseError) {
                position = try await follow(from: position)
                if isAway { logger.notice("following changes again") }
                isAway = false
                readingCount += 1
                if readingCount % Self.readingsPerRemoval == 0 {
                    try await database.removeChanges(olderThan: Self.keptFor)
                }
            } catch {
                if !isAway { logger.warning("cannot read changes", metadata: ["error": "\(error)"]) }
                isAway = true
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    private func follow(from position: Position?) async throws(DatabaseError) -> Position {
        let began = ContinuousClock.now
        guard var cursor = position.flatMap({ began - $0.readAt < Self.keptFor / 2 ? $0.cursor : nil }) else {
            let latest = try await database.latestChange()
            onGap()
            return Position(cursor: latest, readAt: began)
        }
        while true {
            let changes = try await database.changes(after: cursor, limit: Self.batchCountMax)
            if !changes.isEmpty { onChanges(changes) }
            cursor = changes.last?.id ?? cursor
            if changes.count < Self.batchCountMax { break }
        }
        onSynced(began)
        return Position(cursor: cursor, readAt: began)
    }
}
