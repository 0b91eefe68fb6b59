// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Lets a few callers pass at a time. Others wait in order, up to a number, and above it are refused.
package final class Turnstile: Sendable {
    private struct State {
        var passingCount = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let passingCountMax: Int
    private let waitingCountMax: Int
    private let state = Mutex(State())

    package init(passingCountMax: Int, waitingCountMax: Int) {
        precondition(passingCountMax > 0, "somebody has to pass")
        self.passingCountMax = passingCountMax
        self.waitingCountMax = waitingCountMax
    }

    /// - Returns: What `body` returns; `nil` if too many wait, and `body` was not called.
    /// - Note: A cancelled caller keeps its place, and `body` sees the cancellation.
    package func pass<Value>(_ body: () async throws -> Value) async rethrows -> Value? {
        guard await enter() else { return nil }
        defer { leave() }
        return try await body()
    }

    private func enter() async -> Bool {
        var isAdmitted = true
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let passesNow = state.withLock { state in
                if state.passingCount < passingCountMax {
                    state.passingCount += 1
                    return true
                }
                guard state.waiting.count < waitingCountMax else {
                    isAdmitted = false
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if passesNow { continuation.resume() }
        }
        return isAdmitted
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.waiting.isEmpty else {
                state.passingCount -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
