// SPDX-License-Identifier: Apache-2.0

/// One named thread that owns a resource which must never be shared (`PGconn`, `CURLM`), and the bounded queue of jobs
/// that use it. The resource is made, used, and released on that thread only, so it need not be `Sendable`.
package final class OwnerThread<Resource: ~Copyable>: Sendable {
    package typealias Job = @Sendable (inout Resource) -> Void

    private let workers: Workers<Job>

    /// - Parameter make: Makes the resource, on the new thread, before the first job.
    /// - Precondition: The system can give a thread.
    package init(name: String, queueCountMax: Int, make: @escaping @Sendable () -> Resource) {
        workers = Workers(name: name, threadCount: 1, queueCountMax: queueCountMax) { queue in
            var resource = make()
            while let job = queue.next() { job(&resource) }
        }
    }

    deinit { workers.abandon() }

    /// Jobs that wait for the thread. A gauge for metrics, out of date when it returns.
    package var queuedCount: Int { workers.queue.count }

    /// Runs `work` with the resource and returns its result.
    /// - Throws: Errors of `work`, unchanged; `BlockingError` if the work was not taken.
    /// - Note: A cancelled task still waits, and the work still runs to its end.
    package func run<Value: Sendable>(
        _ work: @escaping @Sendable (inout Resource) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do throws(BlockingError) {
                try submit { resource in
                    continuation.resume(with: Result { try work(&resource) })
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Queues `job` for the thread. Never blocks; any thread.
    package func submit(_ job: @escaping Job) throws(BlockingError) {
        try workers.queue.append(job)
    }

    /// Refuses new jobs, runs those already queued, releases the resource, and joins the thread. Blocks the calling
    /// thread, which must not be the owner thread itself.
    package func close() { workers.close() }

    /// As `close()`, for tasks.
    package func finish() async { await workers.finish() }
}
