// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Synchronization
package import Telemetry

/// The open connections of one listener: a bounded count, in all and for each client, and the drain at shutdown.
package final class Connections: Sendable {
    /// Sent down each pipeline when the listener drains: finish the response that runs, then close.
    package struct DrainEvent: Sendable {}

    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var countOfClient: [ClientNetwork: Int] = [:]
        var isDraining = false
        var whenEmpty: [CheckedContinuation<Void, Never>] = []
    }

    private enum Admission { case admitted, full, fullForClient, draining }

    package let countMax: Int
    package let countPerClientMax: Int
    private let state = Mutex(State())
    private let refusedCount = Atomic(0)
    private let refusedForClientCount = Atomic(0)
    private let lateHeadCount = Atomic(0)

    /// - Parameters:
    ///   - countMax: Connections at once; one more is closed as soon as it is accepted.
    ///   - countPerClientMax: The same for each client, which is an IPv4 address or the /64 of an IPv6 one. `nil`: no
    ///     bound but `countMax`.
    package init(countMax: Int, countPerClientMax: Int? = nil) {
        self.countMax = countMax
        self.countPerClientMax = countPerClientMax ?? countMax
    }

    package var count: Int { state.withLock { $0.channels.count } }
    package var isDraining: Bool { state.withLock { $0.isDraining } }

    /// - Returns: `false` if the connection must be closed at once: the listener is full or draining, or the client has
    ///   as many connections as one may have.
    package func add(_ channel: any Channel) -> Bool {
        let client = ClientNetwork(channel.remoteAddress)
        switch state.withLock({ admit(channel, of: client, &$0) }) {
        case .admitted:
            channel.closeFuture.whenComplete { [self] _ in remove(channel, of: client) }
            return true
        case .full: refusedCount.add(1, ordering: .relaxed)
        case .fullForClient: refusedForClientCount.add(1, ordering: .relaxed)
        case .draining: break
        }
        return false
    }

    private func admit(_ channel: any Channel, of client: ClientNetwork?, _ state: inout State) -> Admission {
        guard !state.isDraining else { return .draining }
        guard state.channels.count < countMax else { return .full }
        if let client {
            let count = state.countOfClient[client, default: 0]
            guard count < countPerClientMax else { return .fullForClient }
            state.countOfClient[client] = count + 1
        }
        state.channels[ObjectIdentifier(channel)] = channel
        return .admitted
    }

    private func remove(_ channel: any Channel, of client: ClientNetwork?) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.channels[ObjectIdentifier(channel)] = nil
            if let client, let count = state.countOfClient[client] {
                state.countOfClient[client] = count > 1 ? count - 1 : nil
            }
            guard state.channels.isEmpty else { return [] }
            defer { state.whenEmpty = [] }
            return state.whenEmpty
        }
        for continuation in waiting { continuation.resume() }
    }

    /// A connection was ended because its request did not come in time.
    func endedLateHead() { lateHeadCount.add(1, ordering: .relaxed) }

    /// Shows the numbers of this listener.
    /// - Parameters:
    ///   - program: `edge` or `origin`, part of the metrics' names.
    ///   - listener: Label of the metrics, e.g. `registry`.
    package func report(to metrics: Metrics, program: String, listener: String) {
        metrics.gaugeFunction(
            "depot_\(program)_connections", help: "Open connections.", labels: [("listener", listener)]
        ) { [self] in Double(count) }
        func closed(_ reason: String, _ read: @escaping @Sendable () -> Int) {
            metrics.counterFunction(
                "depot_\(program)_connections_closed_total",
                help: "Connections closed without an answer: too many, too many of one address, no request in time.",
                labels: [("listener", listener), ("reason", reason)]
            ) { Double(read()) }
        }
        closed("full") { [self] in refusedCount.load(ordering: .relaxed) }
        closed("address") { [self] in refusedForClientCount.load(ordering: .relaxed) }
        closed("head") { [self] in lateHeadCount.load(ordering: .relaxed) }
    }

    /// Asks every connection to end after the response that it is sending.
    package func drain() {
        let channels = state.withLock { state in
            state.isDraining = true
            return Array(state.channels.values)
        }
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(DrainEvent()) }
    }

    /// Returns when no connection is left.
    package func waitUntilEmpty() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if !state.channels.isEmpty { state.whenEmpty.append(continuation) }
                return state.channels.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Ends what is left when the drain's deadline has passed.
    package func closeAll() {
        for channel in state.withLock({ Array($0.channels.values) }) { channel.close(promise: nil) }
    }
}
