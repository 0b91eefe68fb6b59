// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Bounds the pieces that wait for the disk pool: memory, and how far parents may run ahead of the disk.
final class StoreGate: Sendable {
    private struct State {
        var insideCount = 0
        var insideCountMax: Int
        var waiting: [@Sendable () -> Void] = []
    }

    private let state: Mutex<State>

    init(insideCountMax: Int) { state = Mutex(State(insideCountMax: insideCountMax)) }

    /// - Parameter notify: Called once after a refusal, when asking again is worthwhile.
    /// - Returns: Whether one piece may pass; `left` then has to be called once.
    func enter(orNotify notify: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.insideCount < state.insideCountMax else {
                state.waiting.append(notify)
                return false
            }
            state.insideCount += 1
            return true
        }
    }

    /// Everybody may pass from now on; who waits learns of it when somebody leaves.
    func lift() { state.withLock { $0.insideCountMax = .max } }

    func left() {
        // All of them: one that was cancelled meanwhile would swallow the only call. They are as few as fetches.
        let waiting = state.withLock { state in
            state.insideCount -= 1
            defer { state.waiting = [] }
            return state.waiting
        }
        for notify in waiting { notify() }
    }
}

/// Bounds the requests to parents, over all fills; who has to wait is served in order.
final class FetchGate: Sendable {
    private struct State {
        var runningCount = 0
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    private let runningCountMax: Int

    init(runningCountMax: Int) { self.runningCountMax = runningCountMax }

    /// Calls `start` now or later; `ended` has to be called once after it.
    func run(_ start: @escaping @Sendable () -> Void) {
        let isNow = state.withLock { state in
            guard state.runningCount < runningCountMax else {
                state.waiting.append(start)
                return false
            }
            state.runningCount += 1
            return true
        }
        if isNow { start() }
    }

    func ended() {
        // The place goes to the next in line without becoming free in between.
        let next: (@Sendable () -> Void)? = state.withLock { state in
            if state.waiting.isEmpty {
                state.runningCount -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?()
    }
}
