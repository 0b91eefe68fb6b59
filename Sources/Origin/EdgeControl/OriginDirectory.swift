// SPDX-License-Identifier: Apache-2.0

package import OriginAuth
package import OriginMetadata
import Synchronization

/// The origins that run, this one among them: what edges are told to keep control connections to.
package final class OriginDirectory: Sendable {
    /// An origin that has said nothing for this long is not named any more.
    private static let aliveFor = Duration.seconds(10)

    package let id: String
    private let database: Database
    private let state: Mutex<(url: BaseURL, known: [OriginRecord])>

    /// - Parameter url: Where edges reach this origin, as far as it is known before the listener is bound.
    package init(id: String, url: BaseURL, database: Database) {
        self.id = id
        self.database = database
        state = Mutex((url, []))
    }

    /// Where edges reach this origin.
    package var url: BaseURL { state.withLock(\.url) }

    /// The listener is bound, perhaps to a port that the system chose.
    package func bound(at url: BaseURL) { state.withLock { $0.url = url } }

    /// Says that this origin runs, and learns which others do.
    package func refresh() async throws(DatabaseError) {
        try await database.registerOrigin(id: id, url: url.description)
        let origins = try await database.origins(seenWithin: Self.aliveFor)
        state.withLock { $0.known = origins }
    }

    /// Ids and URLs, this origin always included: whoever asks has just reached it.
    var origins: [(id: String, url: String)] {
        let (url, known) = state.withLock(\.self)
        let others = known.filter { $0.id != id }
        return ([(id, url.description)] + others.map { ($0.id, $0.url) }).sorted { $0.0 < $1.0 }
    }
}
