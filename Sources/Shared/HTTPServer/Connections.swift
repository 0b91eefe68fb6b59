// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Synchronization

/// The open connections of one listener: a bounded count, and the drain at shutdown.
package final class Connections: Sendable {
    /// Sent down each pipeline when the listener drains: finish the response that runs, then close.
    package struct DrainEvent: Sendable {}

    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var isDraining = false
        var whenEmpty: [CheckedContinuation<Void, Never>] = []
    }

    package let countMax: Int
    private let state = Mutex(State())

    package init(countMax: Int) { self.countMax = countMax }

    package var count: Int { state.withLock { $0.channels.count } }
    package var isDraining: Bool { state.withLock { $0.isDraining } }

    /// - Returns: `false` if the connection must be closed at once: the listener is full or draining.
    package func add(_ channel: any Channel) -> Bool {
        let isAdmitted = state.withLock { state in
            guard !state.isDraining, state.channels.count < countMax else { return false }
            state.channels[ObjectIdentifier(channel)] = channel
            return true
        }
        if isAdmitted { channel.closeFuture.whenComplete { [self] _ in remove(channel) } }
        return isAdmitted
    }

    private func remove(_ channel: any Channel) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.channels[ObjectIdentifier(channel)] = nil
            guard state.channels.isEmpty else { return [] }
            defer { state.whenEmpty = [] }
            return state.whenEmpty
        }
        for continuation in waiting { continuation.resume() }
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
