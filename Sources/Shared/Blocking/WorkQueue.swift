// SPDX-License-Identifier: Apache-2.0

import DequeModule
import Glibc
import Synchronization

/// Why a job was not taken. The job did not run and never will.
package enum BlockingError: Error, Equatable {
    /// The queue holds its stated maximum of jobs: the caller sheds load (503) or waits.
    case full
    /// `close()` was called.
    case closed
}

/// A bounded queue of jobs that threads wait on. First in, first out.
final class WorkQueue<Job: Sendable>: Sendable {
    private struct State {
        var jobs = Deque<Job>()
        var isClosed = false
    }

    private let state = Mutex(State())
    private let permits = Semaphore()
    private let countMax: Int
    private let consumerCount: Int

    /// - Parameter consumerCount: Threads that will call `next()` until it returns `nil`.
    init(countMax: Int, consumerCount: Int) {
        self.countMax = countMax
        self.consumerCount = consumerCount
    }

    /// Jobs that no thread has begun yet.
    var count: Int { state.withLock { $0.jobs.count } }

    func append(_ job: Job) throws(BlockingError) {
        let refusal: BlockingError? = state.withLock { state in
            if state.isClosed { return .closed }
            if state.jobs.count >= countMax { return .full }
            state.jobs.append(job)
            return nil
        }
        if let refusal { throw refusal }
        permits.signal()
    }

    /// Waits for a job. `nil` once the queue is closed and empty: the calling thread is done.
    func next() -> Job? {
        // One permit per job, and one per consumer from `close`, so a consumer that finds no job has met its own end.
        permits.wait()
        return state.withLock { $0.jobs.popFirst() }
    }

    /// Refuses further jobs; those already taken are still handed out.
    func close() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        for _ in 0..<consumerCount { permits.signal() }
    }
}

/// A counting semaphore that threads of our own wait on; never waited on from a Swift task.
private final class Semaphore: @unchecked Sendable {
    // SAFETY: sem_t is made for concurrent use; its address is fixed from init to deinit.
    private let raw = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() {
        let status = sem_init(raw, 0, 0)
        precondition(status == 0, "sem_init of a private semaphore with value 0 cannot fail")
    }

    deinit {
        sem_destroy(raw)
        raw.deallocate()
    }

    func signal() { sem_post(raw) }

    func wait() {
        while sem_wait(raw) != 0 {}  // EINTR is the only failure of a valid semaphore.
    }
}
