// SPDX-License-Identifier: Apache-2.0

import Hashing
import OriginMetadata
package import OriginSecrets
package import SignedURL

/// The secrets that all links of the deployment are derived from: one that signs, and the ones before and after it,
/// so that an edge that was away while keys changed still verifies.
package struct LinkMasters: Sendable {
    package enum State: String, Sendable, CaseIterable {
        case previous, current, next
    }

    package struct Entry: Sendable {
        package let state: State
        package let master: LinkMaster

        package init(state: State, master: LinkMaster) {
            self.state = state
            self.master = master
        }
    }

    private static let keyIDCharacters = 16

    package let entries: [Entry]
    package let current: LinkMaster

    /// `nil` unless exactly one entry is current.
    package init?(entries: [Entry]) {
        let current = entries.filter { $0.state == .current }
        guard current.count == 1 else { return nil }
        self.entries = entries
        self.current = current[0].master
    }

    /// The masters of the deployment; the first one is made if there is none.
    package static func load(from store: SecretStore) async throws(SecretsError) -> LinkMasters {
        let secrets = try await store.loadOrCreate(name: "link") {
            (SecureRandom.label(keyIDCharacters), SecureRandom.bytes(LinkMaster.secretBytes))
        }
        let entries = secrets.map { secret in
            Entry(state: State(secret.state), master: LinkMaster(id: secret.keyID, secret: secret.bytes))
        }
        guard let masters = LinkMasters(entries: entries) else {
            preconditionFailure(
                "an index of the database allows one current secret of a name, and the first is current")
        }
        return masters
    }

    /// Tells edges when to ask for keys again: another text for another set.
    package var version: String {
        entries.map { "\($0.state.rawValue)=\($0.master.id)" }.sorted().joined(separator: ",")
    }

    /// The keys that one edge verifies with; they open no other edge's links.
    package func keys(forEdge id: String) -> [(state: State, key: LinkKey)] {
        entries.map { ($0.state, LinkKey.derive(from: $0.master, edgeID: id)) }
    }
}

extension LinkMasters.State {
    init(_ state: WrappedSecret.State) {
        switch state {
        case .previous: self = .previous
        case .current: self = .current
        case .next: self = .next
        }
    }
}
