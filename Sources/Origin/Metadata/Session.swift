// SPDX-License-Identifier: Apache-2.0

import Telemetry

/// A connection for the length of one job: what `Database.run` and `Database.transaction` give to their closure. It is
/// valid inside that closure only, and does not leave its thread.
package struct Session {
    let connection: PostgresConnection
    private let statements: Counter

    init(connection: PostgresConnection, statements: Counter) {
        self.connection = connection
        self.statements = statements
    }

    /// Runs one statement, prepared per connection by its text.
    ///
    /// - Parameters:
    ///   - sql: A literal: no text from outside can become part of a statement.
    ///   - parameters: `$1`, `$2`, …; each statement is always given the same types.
    /// - Throws: Every kind of `DatabaseError` except `.overloaded` and `.schemaTooNew`.
    @discardableResult
    package func query(_ sql: StaticString, _ parameters: SQLValue...) throws(DatabaseError) -> Rows {
        statements.add()
        return try connection.query(sql, parameters)
    }

    /// Runs statements that are not literals: migrations, and the databases that tests make. Without parameters, not
    /// prepared; several statements are one implicit transaction.
    package func execute(script: String) throws(DatabaseError) {
        statements.add()
        try connection.execute(script: script)
    }
}
