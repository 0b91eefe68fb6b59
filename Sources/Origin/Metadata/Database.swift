// SPDX-License-Identifier: Apache-2.0

import Blocking
package import Logging
import Synchronization
package import Telemetry

/// The metadata: PostgreSQL through libpq. One file per aggregate extends this type; migrations are beside them.
///
/// Each connection lives on a thread of its own. Jobs are synchronous closures that are given a `Session`; they wait in
/// one bounded queue and run on any free connection, which connects when it is first needed and after a loss.
///
/// Every write is an upsert or a delete by natural key (repository, digest, tag, session): whoever sees
/// `.unavailable`, where the outcome of a COMMIT may be unknown, does it again.
///
/// Limits: connections, jobs that wait, time in the queue, time per statement (`Configuration`).
package final class Database: Sendable {
    package struct Configuration: Sendable {
        /// `postgresql://…`; may hold a password and is never logged. Several hosts are tried in order.
        package var url: String
        package var connectionCountMax = 8
        package var queueCountMax = 1024
        /// A job that waited longer than this is refused, also while every connection is held up.
        package var queueTimeout: Duration = .seconds(2)
        package var connectTimeout: Duration = .seconds(3)
        package var statementTimeout: Duration = .seconds(4)
        /// How long `start` waits for a server that is not there yet.
        package var startTimeout: Duration = .seconds(10)
        /// For organizations that have no setting of their own.
        package var missingReferencesDefault: MissingReferences = .children

        package init(url: String) { self.url = url }
    }

    package let configuration: Configuration
    let logger: Logger
    private let pool: ConnectionPoolState
    private let threads: [OwnerThread<ConnectionSlot>]
    private let schedule: Mutex<Schedule>

    private struct Schedule {
        var jobs: JobSchedule<Job>
        /// Whether a task looks for jobs that have waited for too long.
        var isWatched = false
    }

    private struct Job: Sendable {
        /// Runs on a connection and returns what hands its result over. That is called once the connection is free
        /// again, so that a caller with one statement after another stays on one connection.
        let run: @Sendable (inout ConnectionSlot) -> @Sendable () -> Void
        let refuse: @Sendable () -> Void
    }

    /// Starts the threads; nothing connects yet.
    /// - Precondition: `connectionCountMax` and `queueCountMax` are positive.
    package init(_ configuration: Configuration, logger: Logger, metrics: Metrics) {
        precondition(configuration.connectionCountMax > 0 && configuration.queueCountMax > 0, "a pool has room")
        self.configuration = configuration
        self.logger = logger
        let settings = ConnectionSettings(
            url: configuration.url,
            connectTimeout: configuration.connectTimeout,
            statementTimeout: configuration.statementTimeout)
        let statements = metrics.counter(
            "depot_origin_sql_statements_total", help: "Statements sent to PostgreSQL, BEGIN and COMMIT included.")
        let pool = ConnectionPoolState(settings: settings, logger: logger, statements: statements)
        self.pool = pool
        // A thread is given a job only when it has none, so its own queue needs one place.
        threads = (0..<configuration.connectionCountMax).map { index in
            OwnerThread(name: "postgres-\(index)", queueCountMax: 1) { ConnectionSlot(pool: pool) }
        }
        schedule = Mutex(
            Schedule(
                jobs: JobSchedule(connectionCount: threads.count, queueCountMax: configuration.queueCountMax)))
    }

    /// Connects and brings the schema up to date, waiting up to `startTimeout` for the server.
    /// - Throws: `.schemaTooNew`, `.unavailable`, `.invalidData` (URL, altered migration), and what a migration fails
    ///   with.
    package func start() async throws(DatabaseError) {
        let deadline = ContinuousClock.now + configuration.startTimeout
        while true {
            do throws(DatabaseError) {
                return try await migrate(Migration.all)
            } catch {
                guard error.kind == .unavailable, ContinuousClock.now < deadline, !Task.isCancelled else { throw error }
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Refuses new jobs, runs those that wait, and disconnects.
    package func close() async {
        schedule.withLock { $0.jobs.close() }
        for thread in threads { await thread.finish() }
    }

    /// Statements sent since the start.
    package var statementCount: Int { pool.statements.value }

    /// Runs `body` on a connection; each of its statements commits by itself.
    ///
    /// - Throws: `.overloaded` if the queue is full or `body` waited in it for too long; what `body` throws.
    /// - Note: A cancelled task still waits, and `body` still runs to its end.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable (Session) throws(DatabaseError) -> Value
    ) async throws(DatabaseError) -> Value {
        try await perform { slot in slot.run(body) }
    }

    /// Runs `body` in one transaction, READ COMMITTED. After a serialization failure or a deadlock it runs again, up to
    /// twenty times in all, so it has no effect but its statements.
    ///
    /// - Throws: As `run`. With `.unavailable` the outcome of the COMMIT may be unknown.
    package func transaction<Value: Sendable>(
        _ body: @escaping @Sendable (Session) throws(DatabaseError) -> Value
    ) async throws(DatabaseError) -> Value {
        try await perform { slot in slot.transaction(body) }
    }

    private func perform<Value: Sendable>(
        _ work: @escaping @Sendable (inout ConnectionSlot) -> Result<Value, DatabaseError>
    ) async throws(DatabaseError) -> Value {
        let result: Result<Value, DatabaseError> = await withCheckedContinuation { continuation in
            let job = Job { slot in
                let result = work(&slot)
                return { continuation.resume(returning: result) }
            } refuse: {
                continuation.resume(returning: .failure(.waitedTooLong))
            }
            do throws(DatabaseError) {
                try submit(job)
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private func submit(_ job: Job) throws(DatabaseError) {
        let latestStart = ContinuousClock.now + configuration.queueTimeout
        switch schedule.withLock({ $0.jobs.submit(job, latestStart: latestStart) }) {
        case .start(let connection): try start(job, on: connection)
        case .queued: watchQueue()
        case .full: throw DatabaseError(.overloaded, message: "the job queue is full")
        case .closed: throw .closed
        }
    }

    /// Sees to it that waiting jobs are refused in time, by one task for all of them that ends with the last.
    private func watchQueue() {
        let isFirst = schedule.withLock { schedule in
            defer { schedule.isWatched = true }
            return !schedule.isWatched
        }
        guard isFirst else { return }
        Task {
            var isOver = false
            while !isOver {
                try? await Task.sleep(for: configuration.queueTimeout / 8)
                let late = schedule.withLock { schedule in
                    let late = schedule.jobs.expired(at: .now)
                    isOver = !schedule.jobs.hasWaiting
                    if isOver { schedule.isWatched = false }
                    return late
                }
                for job in late { job.refuse() }
            }
        }
    }

    private func start(_ job: Job, on connection: Int) throws(DatabaseError) {
        do throws(BlockingError) {
            try threads[connection].submit { slot in
                var next: Job? = job
                while let job = next {
                    let deliver = job.run(&slot)
                    let isConnected = slot.isConnected
                    next = self.schedule.withLock { $0.jobs.finished(connection: connection, isConnected: isConnected) }
                    deliver()
                }
            }
        } catch {
            throw .closed
        }
    }
}

extension DatabaseError {
    fileprivate static let closed = DatabaseError(.unavailable, message: "the database was closed")
    fileprivate static let waitedTooLong = DatabaseError(
        .overloaded, message: "the job waited too long for a connection")
}
