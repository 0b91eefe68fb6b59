// SPDX-License-Identifier: Apache-2.0

/// Threads of our own for calls that block: libpq, `fsync`, `unlink`, name look-ups, cold reads.
///
/// Blocking on the cooperative pool starves every task of the process, and on an event loop every connection of the
/// loop. A pool states how many calls may block at once (`threadCount`) and how many may wait (`queueCountMax`); what
/// is above both is refused at once with `BlockingError.full`.
///
/// States: open → closed. Queued jobs still run after `close()`. Dropping the last reference closes without waiting.
package final class BlockingPool: Sendable {
    package typealias Job = @Sendable () -> Void

    private let workers: Workers<Job>

    /// - Parameters:
    ///   - name: Shown as the threads' name, with a number; the kernel keeps 15 bytes.
    ///   - niceness: How much the threads stand back behind others when the processors are busy: 0, not at all, to 19.
    /// - Precondition: The system can give that many threads. Pools are made at start, where this is a setup error.
    package init(name: String, threadCount: Int, queueCountMax: Int, niceness: Int32 = 0) {
        workers = Workers(
            name: name, threadCount: threadCount, queueCountMax: queueCountMax, niceness: niceness
        ) { queue in
            while let job = queue.next() { job() }
        }
    }

    deinit { workers.abandon() }

    /// Jobs that wait for a thread. A gauge for metrics, out of date when it returns.
    package var queuedCount: Int { workers.queue.count }

    /// Runs `work` on a pool thread and returns its result.
    ///
    /// - Throws: Errors of `work`, unchanged; `BlockingError` if the work was not taken.
    /// - Note: A cancelled task still waits, and the work still runs to its end: half of an `fsync` is no use to
    ///   anybody, and the resources that `work` captured stay in use until it returns.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do throws(BlockingError) {
                try submit { continuation.resume(with: Result(catching: work)) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Queues `job` for a pool thread, for callers with callbacks of their own. Never blocks; any thread.
    package func submit(_ job: @escaping Job) throws(BlockingError) {
        try workers.queue.append(job)
    }

    /// Refuses new jobs, runs those already queued, and joins the threads. Blocks the calling thread, which must not
    /// be one of the pool's.
    package func close() { workers.close() }

    /// As `close()`, for tasks: suspends until the last thread has run its last job.
    package func finish() async { await workers.finish() }
}
