// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The threads of one pool and the queue that feeds them: what `BlockingPool` and `OwnerThread` have in common.
final class Workers<Job: Sendable>: Sendable {
    private struct State {
        var threads: [NamedThread] = []
        var livingCount: Int
        var finishWaiters: [CheckedContinuation<Void, Never>] = []
    }

    let queue: WorkQueue<Job>
    private let state: Mutex<State>

    /// - Parameter loop: What each thread runs; it takes jobs from the queue until `next()` returns `nil`.
    init(
        name: String,
        threadCount: Int,
        queueCountMax: Int,
        niceness: Int32 = 0,
        loop: @escaping @Sendable (WorkQueue<Job>) -> Void
    ) {
        precondition(threadCount > 0 && queueCountMax > 0, "a pool has at least one thread and room for one job")
        queue = WorkQueue(countMax: queueCountMax, consumerCount: threadCount)
        state = Mutex(State(livingCount: threadCount))
        let queue = queue
        for index in 0..<threadCount {
            // The thread keeps `self` until it ends; `abandon` is how a dropped pool ends its threads.
            let thread = NamedThread(name: threadCount == 1 ? name : "\(name)-\(index)", niceness: niceness) {
                loop(queue)
                self.threadEnded()
            }
            guard let thread else { preconditionFailure("the system refused thread \(index) of pool \(name)") }
            state.withLock { $0.threads.append(thread) }
        }
    }

    /// Refuses new jobs, runs those already queued, and waits for the threads to end. Blocks: for a program's last
    /// steps and for tests. Safe to call twice.
    func close() {
        queue.close()
        let threads = takeThreads()
        precondition(!threads.contains(where: \.isCurrent), "a pool cannot be closed from one of its own threads")
        for thread in threads { thread.join() }
    }

    /// As `close`, but suspends the calling task instead of blocking its thread.
    func finish() async {
        queue.close()
        for thread in takeThreads() { thread.detach() }
        await withCheckedContinuation { continuation in
            let isFinished = state.withLock { state in
                if state.livingCount > 0 { state.finishWaiters.append(continuation) }
                return state.livingCount == 0
            }
            if isFinished { continuation.resume() }
        }
    }

    /// Refuses new jobs and waits for nobody. For `deinit`, which may run on one of the threads themselves.
    func abandon() {
        queue.close()
        for thread in takeThreads() { thread.detach() }
    }

    private func takeThreads() -> [NamedThread] {
        state.withLock { state in
            defer { state.threads = [] }
            return state.threads
        }
    }

    private func threadEnded() {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            state.livingCount -= 1
            guard state.livingCount == 0 else { return [] }
            defer { state.finishWaiters = [] }
            return state.finishWaiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
