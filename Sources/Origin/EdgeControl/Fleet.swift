// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import Logging
package import NIOCore
package import OCI
package import OriginMetadata
import SignedURL
import Synchronization
package import Telemetry

/// The edges, as one origin sees them, and the links that send clients to them. In memory; everything here is
/// synchronous and asks nobody, since a pull of one large blob comes here thousands of times.
package final class Fleet: Sendable {
    package struct Clock: Sendable {
        package let unixMilliseconds: @Sendable () -> Int64
        package let instant: @Sendable () -> ContinuousClock.Instant

        package init(
            unixMilliseconds: @escaping @Sendable () -> Int64,
            instant: @escaping @Sendable () -> ContinuousClock.Instant
        ) {
            self.unixMilliseconds = unixMilliseconds
            self.instant = instant
        }

        package static let system = Clock(
            unixMilliseconds: { Int64(Date().timeIntervalSince1970 * 1000) }, instant: { ContinuousClock.now })

        var unixSeconds: Int64 { unixMilliseconds() / 1000 }
    }

    /// An edge for whoever administers the fleet.
    package struct Status: Sendable {
        package let record: EdgeRecord
        /// `nil`: in rotation.
        package let absence: FleetState.Absence?
        package let report: FleetState.Report?

        package init(record: EdgeRecord, absence: FleetState.Absence?, report: FleetState.Report?) {
            self.record = record
            self.absence = absence
            self.report = report
        }
    }

    /// What choosing and linking need of an edge in rotation.
    private struct Candidate: Sendable {
        let id: String
        let url: String
        let key: LinkKey
        let node: Rendezvous.Node
        let heardAt: ContinuousClock.Instant
    }

    private struct Inner: Sendable {
        var state = FleetState()
        var members: [String: FleetMember] = [:]
        var rotation: [Candidate] = []
        var lastConnection = 0

        mutating func rebuildRotation() {
            rotation = state.rotation.sorted().compactMap { id in
                guard let member = members[id], let heardAt = state.heardAt(id) else { return nil }
                let weight = Rendezvous.weight(capacityBytes: state.report(of: id)?.capacityBytes ?? 0)
                return Candidate(
                    id: id,
                    url: member.record.url,
                    key: member.currentKey,
                    node: Rendezvous.Node(id: id, weight: weight),
                    heardAt: heardAt)
            }
        }
    }

    /// How long a link counts, and so how long after its minting a client may begin to use it.
    package let linkTimeToLiveSeconds: Int64
    private let inner = Mutex(Inner())
    private let clock: Clock
    private let logger: Logger
    private let rotationGauge: Gauge

    package init(linkTimeToLiveSeconds: Int64, clock: Clock = .system, metrics: Metrics, logger: Logger) {
        self.linkTimeToLiveSeconds = linkTimeToLiveSeconds
        self.clock = clock
        self.logger = logger
        rotationGauge = metrics.gauge("depot_origin_edges_in_rotation", help: "Edges that clients are sent to.")
    }

    // MARK: Links

    /// The URL of a blob at the edge of its choice; `nil` if no edge is in rotation. Synchronous, without I/O.
    ///
    /// - Parameter client: Who asks. The choice is by digest alone, and so the same for all clients.
    package func redirect(
        for digest: Digest,
        sizeBytes: Int64,
        organization: Organization,
        client: SocketAddress?
    ) -> String? {
        let now = clock.instant()
        let rotation = inner.withLock(\.rotation)
        let heard = rotation.filter { now - $0.heardAt <= FleetState.silenceMax }
        guard let index = Rendezvous.first(of: heard.lazy.map(\.node), for: digest) else { return nil }
        let edge = heard[index]
        let link = Link(
            digest: digest,
            edgeID: edge.id,
            expiry: clock.unixSeconds + linkTimeToLiveSeconds,
            keyID: edge.key.id,
            sizeBytes: sizeBytes,
            tenant: organization.label)
        return edge.url + LinkSigner.target(for: link, key: edge.key)
    }

    // MARK: Members

    package func member(_ id: String) -> FleetMember? { inner.withLock { $0.members[id] } }

    package var statuses: [Status] {
        let now = clock.instant()
        return inner.withLock { inner in
            inner.members.values.map { member in
                let id = member.record.id
                return Status(
                    record: member.record,
                    absence: inner.state.absence(of: id, now: now),
                    report: inner.state.report(of: id))
            }
        }
    }

    /// The edges as the database has them.
    package func load(_ members: [FleetMember]) {
        let now = clock.instant()
        change { inner in
            inner.members = Dictionary(members.map { ($0.record.id, $0) }, uniquingKeysWith: { first, _ in first })
            return inner.state.loaded(inner.members.mapValues(\.record.isEnabled), now: now)
        }
    }

    // MARK: Events of edges

    /// A control connection of this edge opened; the number names it in `disconnected`.
    package func connected(_ edge: String) -> Int {
        let now = clock.instant()
        return change { inner in
            inner.lastConnection += 1
            let connection = inner.lastConnection
            return (connection, inner.state.connected(edge, connection: connection, now: now))
        }
    }

    package func disconnected(_ edge: String, connection: Int) {
        let now = clock.instant()
        change { $0.state.disconnected(edge, connection: connection, now: now) }
    }

    package func heard(_ edge: String, _ report: FleetState.Report) {
        let now = clock.instant()
        change { $0.state.heard(edge, report, now: now) }
    }

    /// Notices silence. Choosing does not wait for it; log and metrics do. Call every second.
    package func ticked() {
        let now = clock.instant()
        change { $0.state.ticked(now: now) }
    }

    private func change(_ body: (inout Inner) -> [FleetState.Transition]) {
        change { ((), body(&$0)) }
    }

    private func change<Result: Sendable>(_ body: (inout Inner) -> (Result, [FleetState.Transition])) -> Result {
        let (result, transitions, count) = inner.withLock { inner in
            let (result, transitions) = body(&inner)
            inner.rebuildRotation()
            return (result, transitions, inner.rotation.count)
        }
        rotationGauge.set(count)
        for transition in transitions {
            switch transition {
            case .entered(let id):
                logger.info("edge entered rotation", metadata: ["edge.id": "\(id)"])
            case .left(let id, let absence):
                logger.notice("edge left rotation", metadata: ["edge.id": "\(id)", "reason": "\(absence.rawValue)"])
            }
        }
        return result
    }
}
