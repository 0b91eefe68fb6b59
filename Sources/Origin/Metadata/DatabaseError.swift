// SPDX-License-Identifier: Apache-2.0

/// Everything the metadata can fail with. Absence is not here: look-ups return `nil`.
package struct DatabaseError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable, Equatable {
        /// No connection: PostgreSQL is away, restarting, or read-only. After a lost COMMIT its outcome is unknown;
        /// every write here may simply be made again.
        case unavailable
        /// The job queue is full, or the job waited in it for too long.
        case overloaded
        /// A statement, or the lock it waited for, took longer than the statement timeout.
        case timeout
        /// Serialization failures and deadlocks, after all retries.
        case serialization
        case uniqueViolation(constraint: String)
        case foreignKeyViolation(constraint: String)
        /// A newer program has migrated this database.
        case schemaTooNew
        /// A stored or given value is not what its column or type promises.
        case invalidData
        case other
    }

    package let kind: Kind
    /// The five characters of PostgreSQL's Appendix A, if the server said any.
    package let sqlState: String?
    /// For the operator's log; never sent to a client.
    package let message: String

    package init(_ kind: Kind, sqlState: String? = nil, message: String) {
        self.kind = kind
        self.sqlState = sqlState
        self.message = message
    }

    package var description: String {
        "database: \(message)" + (sqlState.map { " (SQLSTATE \($0))" } ?? "")
    }
}

extension DatabaseError.Kind {
    /// - Parameter constraint: The name the server gave with an integrity violation.
    package init(sqlState: String, constraint: String) {
        switch sqlState {
        case "23505": self = .uniqueViolation(constraint: constraint)
        case "23503": self = .foreignKeyViolation(constraint: constraint)
        case "40001", "40P01": self = .serialization
        case "57014", "55P03": self = .timeout
        case "25006", "25P03": self = .unavailable
        default:
            switch sqlState.prefix(2) {
            // Connection exceptions, operator intervention, insufficient resources.
            case "08", "57", "53": self = .unavailable
            // Data exceptions.
            case "22": self = .invalidData
            default: self = .other
            }
        }
    }
}

extension DatabaseError {
    /// Whether the connection that met this error is of no further use: it is gone or going, leads to a standby, or
    /// its prepared statements are not what this program thinks.
    package static func endsConnection(sqlState: String) -> Bool {
        switch sqlState {
        case "25006", "25P03", "26000", "0A000": true
        case "57014": false
        default: sqlState.hasPrefix("08") || sqlState.hasPrefix("57")
        }
    }
}

extension DatabaseError {
    /// Nothing is wrong with the question; there is nobody to answer it now.
    package var isDatabaseAway: Bool {
        switch kind {
        case .unavailable, .overloaded, .timeout: true
        case .serialization, .uniqueViolation, .foreignKeyViolation, .schemaTooNew, .invalidData, .other: false
        }
    }
}
