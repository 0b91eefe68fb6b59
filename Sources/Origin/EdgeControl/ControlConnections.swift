// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Synchronization

/// The open control streams, so that a drain can end them: they would keep the listener running for ever.
package final class ControlConnections: Sendable {

    private struct State: Sendable {
        var isClosed = false
        var continuations: [Int: AsyncStream<ControlLine>.Continuation] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// The lines of one stream. It ends with `close` or `closeAll`; a reader who is too slow loses the oldest lines,
    /// of which each says less than the next.
    func open(_ connection: Int) -> AsyncStream<ControlLine> {
        let (stream, continuation) = AsyncStream.makeStream(of: ControlLine.self, bufferingPolicy: .bufferingNewest(16))
        let isClosed = state.withLock { state in
            if !state.isClosed { state.continuations[connection] = continuation }
            return state.isClosed
        }
        if isClosed { continuation.finish() }
        return stream
    }

    func send(_ line: ControlLine, to connection: Int) {
        state.withLock { $0.continuations[connection] }?.yield(line)
    }

    func close(_ connection: Int) {
        state.withLock { $0.continuations.removeValue(forKey: connection) }?.finish()
    }

    /// Ends all streams, and every later one at once.
    package func closeAll() {
        let continuations = state.withLock { state in
            state.isClosed = true
            defer { state.continuations = [:] }
            return Array(state.continuations.values)
        }
        for continuation in continuations { continuation.finish() }
    }
}
