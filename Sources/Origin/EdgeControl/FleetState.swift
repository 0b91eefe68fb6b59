// SPDX-License-Identifier: Apache-2.0

/// What this origin knows of its edges, and which of them may be sent clients. A pure value: no clock, lock or I/O.
///
/// An edge is in rotation while all of this holds: it is known and enabled; at least one control connection of its is
/// open here; its last heartbeat is at most `silenceMax` old; it is not draining; its clock is within
/// `clockOffsetMax` of ours. Closing the connection takes it out at once, silence after `silenceMax`.
package struct FleetState: Sendable {
    package static let silenceMax = Duration.seconds(6)
    package static let clockOffsetMax = Duration.seconds(30)

    package typealias EdgeID = String
    package typealias Instant = ContinuousClock.Instant

    /// What an edge said of itself last.
    package struct Report: Sendable, Equatable {
        package let isDraining: Bool
        /// Edge's clock minus ours.
        package let clockOffset: Duration
        package let freeBytes: Int64
        package let capacityBytes: Int64
        package let inflightRequestCount: Int

        package init(
            isDraining: Bool,
            clockOffset: Duration,
            freeBytes: Int64,
            capacityBytes: Int64,
            inflightRequestCount: Int
        ) {
            self.isDraining = isDraining
            self.clockOffset = clockOffset
            self.freeBytes = freeBytes
            self.capacityBytes = capacityBytes
            self.inflightRequestCount = inflightRequestCount
        }
    }

    /// Why an edge is not in rotation; the first that applies.
    package enum Absence: String, Sendable {
        case unknown, disabled, notConnected, silent, draining, clockWrong
    }

    /// A change worth a log line and a metric.
    package enum Transition: Sendable, Equatable {
        case entered(EdgeID)
        case left(EdgeID, Absence)
    }

    private struct Edge: Sendable {
        var isEnabled: Bool
        var connections: Set<Int> = []
        var report: Report?
        var heardAt: Instant?
        var isInRotation = false
    }

    private var edges: [EdgeID: Edge] = [:]

    package init() {}

    /// Ids that were in rotation when the last event was handled, in no order.
    package var rotation: [EdgeID] { edges.filter(\.value.isInRotation).map(\.key) }

    /// When the last heartbeat of an edge came.
    package func heardAt(_ edge: EdgeID) -> Instant? { edges[edge]?.heardAt }

    package func report(of edge: EdgeID) -> Report? { edges[edge]?.report }

    package func absence(of id: EdgeID, now: Instant) -> Absence? {
        guard let edge = edges[id] else { return .unknown }
        if !edge.isEnabled { return .disabled }
        if edge.connections.isEmpty { return .notConnected }
        guard let report = edge.report, let heardAt = edge.heardAt, now - heardAt <= Self.silenceMax else {
            return .silent
        }
        if report.isDraining { return .draining }
        return abs(report.clockOffset) > Self.clockOffsetMax ? .clockWrong : nil
    }

    // MARK: Events

    /// The edges as the database has them, and whether each is enabled. What was known of an edge that is gone is
    /// forgotten, its connections included.
    package mutating func loaded(_ known: [EdgeID: Bool], now: Instant) -> [Transition] {
        var transitions: [Transition] = []
        for (id, edge) in edges where known[id] == nil {
            if edge.isInRotation { transitions.append(.left(id, .unknown)) }
            edges[id] = nil
        }
        for (id, isEnabled) in known {
            edges[id, default: Edge(isEnabled: isEnabled)].isEnabled = isEnabled
        }
        return transitions + settle(now: now)
    }

    /// A control connection opened. `connection` is unique among all connections of this process.
    package mutating func connected(_ id: EdgeID, connection: Int, now: Instant) -> [Transition] {
        edges[id]?.connections.insert(connection)
        return settle(now: now)
    }

    /// A control connection closed, whichever way.
    package mutating func disconnected(_ id: EdgeID, connection: Int, now: Instant) -> [Transition] {
        guard edges[id]?.connections.remove(connection) != nil else { return [] }
        return settle(now: now)
    }

    package mutating func heard(_ id: EdgeID, _ report: Report, now: Instant) -> [Transition] {
        guard edges[id] != nil else { return [] }
        edges[id]?.report = report
        edges[id]?.heardAt = now
        return settle(now: now)
    }

    /// Time went by.
    package mutating func ticked(now: Instant) -> [Transition] { settle(now: now) }

    private mutating func settle(now: Instant) -> [Transition] {
        var transitions: [Transition] = []
        for id in edges.keys {
            let absence = absence(of: id, now: now)
            let wasInRotation = edges[id]?.isInRotation ?? false
            switch (wasInRotation, absence) {
            case (false, nil): transitions.append(.entered(id))
            case (true, let absence?): transitions.append(.left(id, absence))
            case (true, nil), (false, _?): continue
            }
            edges[id]?.isInRotation = absence == nil
        }
        return transitions
    }
}

private func abs(_ duration: Duration) -> Duration { duration < .zero ? .zero - duration : duration }
