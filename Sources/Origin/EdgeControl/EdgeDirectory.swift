// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
package import Logging
package import OriginMetadata
package import OriginSecrets

/// Brings the edges of the database into the fleet, with their secrets unwrapped.
package struct EdgeDirectory: Sendable {
    private let database: Database
    private let wrapping: Wrapping
    private let masters: LinkMasters
    private let fleet: Fleet
    private let logger: Logger

    package init(database: Database, wrapping: Wrapping, masters: LinkMasters, fleet: Fleet, logger: Logger) {
        self.database = database
        self.wrapping = wrapping
        self.masters = masters
        self.fleet = fleet
        self.logger = logger
    }

    /// What a join secret is wrapped for.
    static func wrappingContext(edge id: String) -> String { "edge-join|\(id)" }

    /// - Throws: `DatabaseError`; the fleet then stays as it was.
    package func refresh() async throws(DatabaseError) {
        fleet.load(try await database.edges().compactMap(member))
    }

    private func member(_ record: EdgeRecord) -> FleetMember? {
        if let known = fleet.member(record.id), known.record == record { return known }
        do throws(SecretsError) {
            let secret = try wrapping.unwrap(
                record.wrappedJoinSecret, context: Self.wrappingContext(edge: record.id))
            return FleetMember(
                record: record, joinKeys: JoinKeys(secret: secret, edgeID: record.id), masters: masters)
        } catch {
            logger.error("edge left out", metadata: ["edge.id": "\(record.id)", "error": "\(error)"])
            return nil
        }
    }
}
