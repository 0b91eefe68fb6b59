// SPDX-License-Identifier: Apache-2.0

package import Logging
package import OriginMetadata

/// Writes down when tokens were last used, and removes those that ended long ago.
package struct TokenKeeper: Sendable {
    private static let interval = Duration.seconds(30)
    private static let intervalsPerSweep = 120
    /// So long an expired token still tells its holder that it has expired.
    private static let keptFor = Duration.seconds(7 * 86_400)

    private let auth: AuthService
    private let database: Database
    private let logger: Logger

    package init(auth: AuthService, database: Database, logger: Logger) {
        self.auth = auth
        self.database = database
        self.logger = logger
    }

    /// Runs until its task is cancelled, and then writes what is left.
    package func run() async {
        var intervalCount = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            do throws(DatabaseError) {
                try await write()
                intervalCount += 1
                if intervalCount % Self.intervalsPerSweep == 0 {
                    try await database.removeEndedTokens(olderThan: Self.keptFor)
                }
            } catch {
                logger.warning("uses of tokens could not be written down", metadata: ["error": "\(error)"])
            }
        }
    }

    private func write() async throws(DatabaseError) {
        let ids = auth.takeUsedTokens()
        if !ids.isEmpty { try await database.recordUse(ofTokens: ids) }
    }
}
