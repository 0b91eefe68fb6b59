// SPDX-License-Identifier: Apache-2.0

package import Logging
package import OriginSecrets
import Synchronization

/// Keeps the keys that sign registry tokens: rotates them every thirty days, and follows another origin's rotation.
package final class KeyKeeper: Sendable {
    private static let rotatedAfter = Duration.seconds(30 * 86_400)
    private static let interval = Duration.seconds(3600)
    private static let retryInterval = Duration.seconds(1)

    private let store: SecretStore
    private let auth: AuthService
    private let logger: Logger
    private let isOutdated = Atomic(false)

    package init(store: SecretStore, auth: AuthService, logger: Logger) {
        self.store = store
        self.auth = auth
        self.logger = logger
    }

    /// Keys were, or may have been, rotated: they are read within about a second. Never blocks.
    package func reload() { isOutdated.store(true, ordering: .releasing) }

    /// Rotates now. Whoever has reason to fear that a key is known to others does it twice: tokens of the previous one
    /// count until they end.
    package func rotate() async throws {
        guard try await RegistryTokens.rotate(in: store, ifOlderThan: .zero) else { return }
        auth.replace(try await RegistryTokens.load(from: store))
    }

    /// Runs until its task is cancelled.
    package func run() async {
        var next = ContinuousClock.now
        while !Task.isCancelled {
            do {
                if ContinuousClock.now >= next {
                    next = .now + Self.interval
                    if try await RegistryTokens.rotate(in: store, ifOlderThan: Self.rotatedAfter) {
                        logger.notice("keys of registry tokens rotated")
                        reload()
                    }
                }
                if isOutdated.exchange(false, ordering: .acquiring) {
                    auth.replace(try await RegistryTokens.load(from: store))
                }
            } catch {
                // Asked again: the old keys, and the next one, are known.
                logger.warning("keys could not be read or rotated", metadata: ["error": "\(error)"])
                reload()
            }
            try? await Task.sleep(for: Self.retryInterval)
        }
    }
}
