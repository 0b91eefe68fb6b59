// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// Decides which connection runs which job. A pure value: the caller holds the lock and hands jobs to threads.
///
/// Jobs wait in one bounded queue and run in order on any connection. Of idle connections the last used is taken first,
/// so that a quiet origin keeps few of them busy; one that is not connected is taken last.
package struct JobSchedule<Job> {
    package enum Admission {
        /// Run the job on this connection, then call `finished`.
        case start(connection: Int)
        case queued
        case full
        case closed
    }

    private let queueCountMax: Int
    private var waiting = Deque<(job: Job, latestStart: ContinuousClock.Instant)>()
    private var idle: Deque<Int>
    private var isClosed = false

    package init(connectionCount: Int, queueCountMax: Int) {
        self.queueCountMax = queueCountMax
        idle = Deque((0..<connectionCount).reversed())
    }

    /// - Parameter latestStart: When `expired` takes the job back; not earlier than that of the job before.
    package mutating func submit(_ job: Job, latestStart: ContinuousClock.Instant) -> Admission {
        if isClosed { return .closed }
        if let connection = idle.popLast() { return .start(connection: connection) }
        guard waiting.count < queueCountMax else { return .full }
        waiting.append((job, latestStart))
        return .queued
    }

    /// - Returns: The next job for the same connection, or `nil`: it is idle.
    package mutating func finished(connection: Int, isConnected: Bool) -> Job? {
        if let next = waiting.popFirst() { return next.job }
        if isConnected { idle.append(connection) } else { idle.prepend(connection) }
        return nil
    }

    /// Jobs that have waited for too long. They are not handed out any more.
    package mutating func expired(at now: ContinuousClock.Instant) -> [Job] {
        var jobs: [Job] = []
        while let first = waiting.first, first.latestStart <= now {
            jobs.append(first.job)
            waiting.removeFirst()
        }
        return jobs
    }

    package var hasWaiting: Bool { !waiting.isEmpty }

    /// Refuses further jobs. Those that wait are still handed out.
    package mutating func close() { isClosed = true }
}
