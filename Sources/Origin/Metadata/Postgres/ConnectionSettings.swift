// SPDX-License-Identifier: Apache-2.0

import CLibpq

/// How connections are made. The URL may overrule the defaults here; several hosts in it are tried in order.
struct ConnectionSettings: Sendable {
    let url: String
    let connectTimeout: Duration
    let statementTimeout: Duration

    /// A transaction is a few statements without pauses; one that waits has lost its program.
    var idleInTransactionTimeout: Duration { statementTimeout * 2 }

    /// - Throws: `.invalidData`. libpq's own message would repeat the URL, password included.
    func validate() throws(DatabaseError) {
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(url, &message)
        PQfreemem(message)
        guard let options else {
            throw DatabaseError(.invalidData, message: "the database URL is not a valid PostgreSQL connection URI")
        }
        PQconninfoFree(options)
    }

    /// Blocks until connected, refused, or timed out. `nil` when out of memory.
    func connect() -> OpaquePointer? {
        let overridable: [(String, String)] = [
            ("connect_timeout", "\(max(connectTimeout.components.seconds, 2))"),  // libpq takes 1 for 2.
            ("target_session_attrs", "read-write"),
            ("keepalives_idle", "5"),
            ("keepalives_interval", "2"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "\((statementTimeout + .seconds(3)).milliseconds)"),
            ("application_name", "depot-origin"),
        ]
        // What comes after the URL overrules it: this program decodes UTF-8 and nothing else.
        let parameters = overridable + [("dbname", url), ("client_encoding", "UTF8")]
        return Self.withCStrings(parameters.map(\.0)) { keywords in
            Self.withCStrings(parameters.map(\.1)) { values in PQconnectdbParams(keywords, values, 1) }
        }
    }

    /// A NULL-terminated array of C strings, valid during the call.
    private static func withCStrings<Value>(
        _ strings: [String],
        _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value
    ) -> Value {
        let bytes = strings.map { Array($0.utf8CString) }
        func descend(_ index: Int, _ pointers: [UnsafePointer<CChar>?]) -> Value {
            guard index < bytes.count else { return body(pointers + [nil]) }
            return bytes[index].withUnsafeBufferPointer { descend(index + 1, pointers + [$0.baseAddress]) }
        }
        return descend(0, [])
    }
}
