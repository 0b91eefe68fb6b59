// SPDX-License-Identifier: Apache-2.0

package import Logging
import OriginMetadata

/// Keeps the fleet's picture current: silence every second, edges and origins of the database every two.
package struct FleetKeeper: Sendable {
    private static let interval = Duration.seconds(1)

    private let fleet: Fleet
    private let edges: EdgeDirectory
    private let origins: OriginDirectory
    private let logger: Logger

    package init(fleet: Fleet, edges: EdgeDirectory, origins: OriginDirectory, logger: Logger) {
        self.fleet = fleet
        self.edges = edges
        self.origins = origins
        self.logger = logger
    }

    /// Runs until its task is cancelled. While the database is away the fleet stays as it was.
    package func run() async {
        var round = 0
        var isAway = false
        while !Task.isCancelled {
            fleet.ticked()
            if round % 2 == 0 {
                do throws(DatabaseError) {
                    try await origins.refresh()
                    try await edges.refresh()
                    isAway = false
                } catch {
                    if !isAway { logger.warning("cannot refresh the fleet", metadata: ["error": "\(error)"]) }
                    isAway = true
                }
            }
            round += 1
            try? await Task.sleep(for: Self.interval)
        }
    }
}
