// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Synchronization

/// Jobs in order, one at a time, on a shared pool: the running hash of one upload.
///
/// A lane takes a pool thread only while it has jobs. Dropping the lane does not drop its queued jobs.
package final class SerialLane: Sendable {
    private struct State {
        var jobs = Deque<BlockingPool.Job>()
        var isDraining = false
    }

    private let pool: BlockingPool
    private let queueCountMax: Int
    private let state = Mutex(State())

    /// - Parameter queueCountMax: Jobs that may wait in this lane.
    package init(on pool: BlockingPool, queueCountMax: Int = 64) {
        precondition(queueCountMax > 0, "a lane has room for one job")
        self.pool = pool
        self.queueCountMax = queueCountMax
    }

    /// Queues `job` behind all earlier jobs of this lane. Never blocks; any thread.
    /// - Throws: `.full` when this lane or the pool's queue is full, `.closed` when the pool is.
    package func submit(_ job: @escaping BlockingPool.Job) throws(BlockingError) {
        let refusal: BlockingError? = state.withLock { state in
            guard state.jobs.count < queueCountMax else { return .full }
            if !state.isDraining {
                // Under the lock on purpose: were the pool's refusal learnt after unlocking, a job accepted in between
                // would have nobody to run it. The pool never calls back into a lane while it holds its own lock.
                do throws(BlockingError) { try pool.submit { self.drain() } } catch { return error }
                state.isDraining = true
            }
            state.jobs.append(job)
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Runs `work` behind all earlier jobs of this lane and returns its result.
    /// - Throws: Errors of `work`, unchanged; `BlockingError` if the work was not taken.
    /// - Note: A cancelled task still waits, and the work still runs, so that the order holds.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do throws(BlockingError) {
                try submit { continuation.resume(with: Result(catching: work)) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private func drain() {
        while let job = nextJob() { job() }
    }

    private func nextJob() -> BlockingPool.Job? {
        state.withLock { state in
            if state.jobs.isEmpty { state.isDraining = false }
            return state.jobs.popFirst()
        }
    }
}
