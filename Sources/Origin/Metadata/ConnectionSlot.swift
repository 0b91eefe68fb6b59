// SPDX-License-Identifier: Apache-2.0

import Glibc
import Logging
import Synchronization
import Telemetry

/// What all connections of a database have in common.
final class ConnectionPoolState: Sendable {
    let settings: ConnectionSettings
    let logger: Logger
    let statements: Counter
    let availability: Mutex<Availability>

    init(settings: ConnectionSettings, logger: Logger, statements: Counter) {
        self.settings = settings
        self.logger = logger
        self.statements = statements
        // A URL of several hosts gives each its timeout; two is what a failover pair has.
        availability = Mutex(Availability(attemptTimeout: settings.connectTimeout * 2))
    }
}

/// The place of one connection, on the thread that owns it. Connects when a job needs it, and again after a loss.
struct ConnectionSlot: ~Copyable {
    private static let transactionAttemptCountMax = 20
    /// Of these, those after the first do not wait for locks.
    private static let hastyAttemptCountMax = 12
    /// No attempt begins later than this after the first.
    private static let transactionTime: Duration = .seconds(4)
    private static let lockNotAvailable = "55P03"

    private let pool: ConnectionPoolState
    private var connection: PostgresConnection?

    init(pool: ConnectionPoolState) { self.pool = pool }

    var isConnected: Bool { connection != nil }

    /// Runs a job whose statements each commit by themselves.
    mutating func run<Value>(
        _ body: (Session) throws(DatabaseError) -> Value
    ) -> Result<Value, DatabaseError> {
        defer { tidyUp() }
        do throws(DatabaseError) { return .success(try body(try session())) } catch { return .failure(error) }
    }

    /// Runs a job in one transaction, READ COMMITTED, again after a serialization failure or a deadlock.
    mutating func transaction<Value>(
        _ body: (Session) throws(DatabaseError) -> Value
    ) -> Result<Value, DatabaseError> {
        var attempt = 1
        let deadline = ContinuousClock.now + Self.transactionTime
        while true {
            do throws(DatabaseError) {
                defer { tidyUp() }
                return .success(try attemptTransaction(attempt, body))
            } catch {
                let isConflict = error.kind == .serialization || error.sqlState == Self.lockNotAvailable
                guard isConflict, attempt < Self.transactionAttemptCountMax, ContinuousClock.now < deadline else {
                    return .failure(error)
                }
                // Losers of one deadlock come back at different times, or they meet again.
                usleep(.random(in: 2000...20_000) * UInt32(min(attempt, 8)))
                attempt += 1
            }
        }
    }

    private mutating func attemptTransaction<Value>(
        _ attempt: Int,
        _ body: (Session) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> Value {
        let session = try session()
        try session.query("BEGIN ISOLATION LEVEL READ COMMITTED")
        // The loser of a deadlock holds nothing for long while it waits: whoever waits first is the one that PostgreSQL
        // lets go, and against one that comes again and again it would lose each time. Later, in case that the wait is an
        // ordinary one in a long line, it takes its time again.
        if (2...Self.hastyAttemptCountMax).contains(attempt) { try session.query("SET LOCAL lock_timeout = '50ms'") }
        let value = try body(session)
        // The server answers ROLLBACK, without an error, if the body went on after a failed statement.
        guard try commit(session).commandTag == "COMMIT" else {
            throw DatabaseError(.other, message: "a transaction with a failed statement was rolled back")
        }
        return value
    }

    private func commit(_ session: Session) throws(DatabaseError) -> Rows {
        do throws(DatabaseError) {
            return try session.query("COMMIT")
        } catch {
            guard session.connection.isBroken else { throw error }
            throw DatabaseError(
                .unavailable, sqlState: error.sqlState, message: "outcome of COMMIT unknown: \(error.message)")
        }
    }

    private mutating func session() throws(DatabaseError) -> Session {
        if let connection, connection.isAlive() { return Session(connection: connection, statements: pool.statements) }
        connection = nil
        let connection = try connect()
        self.connection = connection
        return Session(connection: connection, statements: pool.statements)
    }

    private func connect() throws(DatabaseError) -> PostgresConnection {
        if let error = pool.availability.withLock({ $0.mayConnect(now: .now) }) { throw error }
        do throws(DatabaseError) {
            let connection = try PostgresConnection.open(pool.settings, logger: pool.logger)
            pool.availability.withLock { $0.succeeded() }
            return connection
        } catch {
            let jitter = Double.random(in: 0..<1)
            pool.availability.withLock { $0.failed(error, now: .now, jitter: jitter) }
            pool.logger.warning("database connection failed", metadata: ["error": "\(error)"])
            throw error
        }
    }

    /// Leaves the connection without a transaction, or drops it.
    private mutating func tidyUp() {
        guard let connection else { return }
        if !connection.isBroken, connection.isInTransaction {
            do throws(DatabaseError) {
                try Session(connection: connection, statements: pool.statements).query("ROLLBACK")
            } catch {
                connection.breakOff()
            }
        }
        if connection.isBroken { self.connection = nil }
    }
}
