// SPDX-License-Identifier: Apache-2.0

import CLibpq
import Glibc
import Logging

/// One libpq connection, with the statements it has prepared. Made, used, and dropped on one thread.
///
/// libpq is driven without blocking calls, so that a server that stops answering without closing its socket costs a
/// deadline and not a thread.
final class PostgresConnection {
    private let raw: OpaquePointer
    /// Where notices go; the connection holds an unretained pointer to it.
    private let notices: NoticeLog
    /// By address of the statement's text, which is a literal of the program.
    private var statementNames: [UnsafePointer<UInt8>: String] = [:]
    private let statementTimeout: Duration
    /// The longest that one statement may take here; the server's own timeout comes first.
    private var answerTimeout: Duration?
    /// Whether the connection is of no further use.
    private(set) var isBroken = false

    /// The program has fewer statements than this; the limit is for a connection's memory on the server.
    private static let preparedStatementCountMax = 256
    /// How much later than the server's statement timeout this side gives up.
    private static let answerGrace: Duration = .milliseconds(500)

    private init(raw: OpaquePointer, notices: NoticeLog, statementTimeout: Duration) {
        self.raw = raw
        self.notices = notices
        self.statementTimeout = statementTimeout
        answerTimeout = statementTimeout + Self.answerGrace
    }

    deinit { PQfinish(raw) }

    /// Connects and sets up the session. Blocks for at most the connect timeout per host of the URL.
    /// - Throws: `.unavailable`; `.invalidData` if the URL is none. No message shows the URL: it may hold a password.
    static func open(_ settings: ConnectionSettings, logger: Logger) throws(DatabaseError) -> PostgresConnection {
        try settings.validate()
        guard let raw = settings.connect() else {
            throw DatabaseError(.unavailable, message: "no memory for a connection")
        }
        let notices = NoticeLog(logger: logger)
        let connection = PostgresConnection(
            raw: raw, notices: notices, statementTimeout: settings.statementTimeout)
        guard PQstatus(raw) == CONNECTION_OK else {
            throw DatabaseError(.unavailable, message: "cannot connect: \(connection.errorMessage)")
        }
        notices.attach(to: raw)
        guard PQsetnonblocking(raw, 1) == 0 else { throw connection.lost() }
        try connection.setUpSession(settings)
        return connection
    }

    private func setUpSession(_ settings: ConnectionSettings) throws(DatabaseError) {
        // Stronger settings of synchronous_commit (remote_write, remote_apply) are the operator's choice.
        _ = try query(
            """
            SELECT set_config('statement_timeout', $1, false),
                set_config('idle_in_transaction_session_timeout', $2, false),
                set_config('default_transaction_isolation', 'read committed', false),
                set_config('synchronous_commit',
                    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
                    ELSE current_setting('synchronous_commit') END, false)
            """,
            [
                .text("\(settings.statementTimeout.milliseconds)ms"),
                .text("\(settings.idleInTransactionTimeout.milliseconds)ms"),
            ])
    }

    var isInTransaction: Bool { PQtransactionStatus(raw) != PQTRANS_IDLE }

    /// Whether an idle connection still leads to the server, as far as can be known without asking it: a server that
    /// ended the connection has said so, and that waits to be read.
    func isAlive() -> Bool {
        while !isBroken, isReadable() {
            if PQconsumeInput(raw) == 0 { isBroken = true }
            _ = PQisBusy(raw)  // Parses what was read; a notice of the end goes to the log.
        }
        return !isBroken && PQstatus(raw) == CONNECTION_OK
    }

    /// Ends the use of the connection.
    func breakOff() { isBroken = true }

    /// Runs one statement, prepared at its first use.
    /// - Throws: Every kind that the server's answer maps to; `.timeout` and `.unavailable` from this side.
    func query(_ sql: StaticString, _ parameters: [SQLValue]) throws(DatabaseError) -> Rows {
        let encoded = try EncodedParameters(parameters)
        let name = try prepare(sql, types: encoded.types)
        let isSent = encoded.withPointers { count, _, values, lengths, formats in
            PQsendQueryPrepared(raw, name, count, values, lengths, formats, 1)
        }
        guard isSent == 1 else { throw lost() }
        return Rows(try answer())
    }

    /// Runs statements without parameters by the simple protocol, several of them in one implicit transaction.
    func execute(script: String) throws(DatabaseError) {
        guard PQsendQuery(raw, script) == 1 else { throw lost() }
        _ = try answer()
    }

    /// Lifts the timeouts of statements for `body`, which takes as long as it takes. If it fails, the connection ends.
    func withoutTimeouts<Value>(_ body: () throws(DatabaseError) -> Value) throws(DatabaseError) -> Value {
        do throws(DatabaseError) {
            try set(statementTimeout: nil)
            let value = try body()
            try set(statementTimeout: statementTimeout)
            return value
        } catch {
            isBroken = true
            throw error
        }
    }

    private func set(statementTimeout: Duration?) throws(DatabaseError) {
        let text = "\(statementTimeout?.milliseconds ?? 0)ms"  // 0 is off.
        _ = try query("SELECT set_config('statement_timeout', $1, false)", [.text(text)])
        answerTimeout = statementTimeout.map { $0 + Self.answerGrace }
    }

    private func prepare(_ sql: StaticString, types: [UInt32]) throws(DatabaseError) -> String {
        precondition(sql.hasPointerRepresentation, "a statement is longer than one character")
        if let name = statementNames[sql.utf8Start] { return name }
        guard statementNames.count < Self.preparedStatementCountMax else {
            // The unnamed statement, prepared anew each time: slower, and never wrong.
            return try prepare(sql, types: types, as: "")
        }
        let name = try prepare(sql, types: types, as: "s\(statementNames.count)")
        statementNames[sql.utf8Start] = name
        return name
    }

    private func prepare(_ sql: StaticString, types: [UInt32], as name: String) throws(DatabaseError) -> String {
        guard PQsendPrepare(raw, name, sql.description, Int32(types.count), types) == 1 else { throw lost() }
        _ = try answer()
        return name
    }

    // MARK: Waiting

    /// Sends what is buffered and reads until the server is ready again.
    private func answer() throws(DatabaseError) -> PostgresResult {
        let deadline = answerTimeout.map { ContinuousClock.now + $0 }
        var last: PostgresResult?
        var failure: DatabaseError?
        while true {
            let unsent = PQflush(raw)
            if unsent < 0 { throw failure ?? lost() }
            if unsent == 0 && PQisBusy(raw) == 0 {
                guard let result = PQgetResult(raw).map(PostgresResult.init) else { break }
                failure = failure ?? error(of: result)
                last = result
                if isBroken { break }
                continue
            }
            try wait(for: unsent > 0 ? POLLIN | POLLOUT : POLLIN, until: deadline)
            if isReadable(), PQconsumeInput(raw) == 0 { throw failure ?? lost() }
        }
        if let failure { throw failure }
        guard let last else { throw lost() }
        return last
    }

    private func wait(
        for events: Int32,
        until deadline: ContinuousClock.Instant?
    ) throws(DatabaseError) {
        var descriptor = pollfd(fd: PQsocket(raw), events: Int16(events), revents: 0)
        while true {
            let rest = deadline.map { $0 - ContinuousClock.now }
            if let rest, rest <= .zero {
                isBroken = true
                throw DatabaseError(.timeout, message: "no answer within \(answerTimeout ?? .zero)")
            }
            let status = poll(&descriptor, 1, rest.map { Int32(clamping: $0.milliseconds + 1) } ?? -1)
            if status > 0 { return }
            if status < 0 && errno != EINTR { throw lost() }
        }
    }

    private func isReadable() -> Bool {
        var descriptor = pollfd(fd: PQsocket(raw), events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, 0) > 0
    }

    // MARK: Errors

    /// The error in a result, if it is one. Marks the connection broken if the error says so.
    private func error(of result: PostgresResult) -> DatabaseError? {
        switch result.status {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            return nil
        case PGRES_FATAL_ERROR:
            let sqlState = result.errorField(clibpq_field_sqlstate)
            // libpq makes results of its own, without a state, for a connection that ended.
            guard !sqlState.isEmpty else { return lost() }
            if DatabaseError.endsConnection(sqlState: sqlState) { isBroken = true }
            let detail = result.errorField(clibpq_field_detail)
            return DatabaseError(
                DatabaseError.Kind(sqlState: sqlState, constraint: result.errorField(clibpq_field_constraint)),
                sqlState: sqlState,
                message: result.errorField(clibpq_field_message) + (detail.isEmpty ? "" : "; \(detail)"))
        default:
            isBroken = true
            return DatabaseError(.other, message: "unexpected answer: \(String(cString: PQresStatus(result.status)))")
        }
    }

    private func lost() -> DatabaseError {
        isBroken = true
        return DatabaseError(.unavailable, message: "connection lost: \(errorMessage)")
    }

    private var errorMessage: String {
        let text = PQerrorMessage(raw).map { String(cString: $0) } ?? ""
        let lines = text.split(whereSeparator: \.isNewline).map { $0.drop(while: \.isWhitespace) }
        let line = lines.joined(separator: "; ")
        return line.isEmpty ? "no reason given" : line
    }
}

extension Duration {
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
