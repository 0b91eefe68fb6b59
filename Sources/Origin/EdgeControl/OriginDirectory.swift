// SPDX-License-Identifier: Apache-2.0

package import OriginAuth
package import OriginMetadata
import Synchronization

/// The origins that run, this one among them: what edges are told to keep control connections to.
package final class OriginDirectory: Sendable {
    /// An origin that has said nothing for this long is not named any more.
    private static let aliveFor = Duration.seconds(10)
    /// For how long an origin that found itself alone may count on it.
    private static let aloneFor = Duration.seconds(3)

    package let id: String
    private let database: Database
    private let state: Mutex<State>

    private struct State {
        var url: BaseURL
        var known: [OriginRecord] = []
        /// When this origin last began to say that it runs, and was heard.
        var knownAt: ContinuousClock.Instant?
        /// When the last look began that found no other origin.
        var aloneAt: ContinuousClock.Instant?
    }

    /// - Parameter url: Where edges reach this origin, as far as it is known before the listener is bound.
    package init(id: String, url: BaseURL, database: Database) {
        self.id = id
        self.database = database
        state = Mutex(State(url: url))
    }

    /// Where edges reach this origin.
    package var url: BaseURL { state.withLock(\.url) }

    /// The listener is bound, perhaps to a port that the system chose.
    package func bound(at url: BaseURL) { state.withLock { $0.url = url } }

    /// Says that this origin runs, and learns which others do.
    package func refresh() async throws(DatabaseError) {
        let began = ContinuousClock.now
        try await database.registerOrigin(id: id, url: url.description)
        let origins = try await database.origins(seenWithin: Self.aliveFor)
        let isAlone = !origins.contains { $0.id != id }
        state.withLock { state in
            state.known = origins
            state.knownAt = began
            state.aloneAt = isAlone ? began : nil
        }
    }

    /// Joins those that run: on return none of them believes any more to be the only one.
    package func join() async throws {
        try await refresh()
        guard !isAlone else { return }
        try await Task.sleep(for: Self.aloneFor + .milliseconds(500))
    }

    /// Before a tag is moved: an origin that was silent for so long that others may have forgotten it joins again.
    package func becomeKnown() async throws {
        if let knownAt = state.withLock(\.knownAt), ContinuousClock.now - knownAt < Self.aliveFor - .seconds(2) {
            return
        }
        try await join()
    }

    /// Whether no other origin can have written anything in the last moments. An origin that starts waits in `join`
    /// until the others know of it, before it takes its first request.
    package var isAlone: Bool {
        guard let aloneAt = state.withLock(\.aloneAt) else { return false }
        return ContinuousClock.now - aloneAt < Self.aloneFor
    }

    /// Ids and URLs, this origin always included: whoever asks has just reached it.
    var origins: [(id: String, url: String)] {
        let (url, known) = state.withLock { ($0.url, $0.known) }
        let others = known.filter { $0.id != id }
        return ([(id, url.description)] + others.map { ($0.id, $0.url) }).sorted { $0.0 < $1.0 }
    }
}
