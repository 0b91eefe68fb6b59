// SPDX-License-Identifier: Apache-2.0

import CLibpq

/// A libpq result, cleared when the last row of it goes.
final class PostgresResult {
    let raw: OpaquePointer

    init(_ raw: OpaquePointer) { self.raw = raw }

    deinit { PQclear(raw) }

    var status: ExecStatusType { PQresultStatus(raw) }

    /// A field of the error report, or the empty string.
    func errorField(_ field: Int32) -> String {
        PQresultErrorField(raw, field).map { String(cString: $0) } ?? ""
    }
}

/// The rows of one statement.
package struct Rows: RandomAccessCollection {
    private let result: PostgresResult
    package let endIndex: Int
    package var startIndex: Int { 0 }

    init(_ result: PostgresResult) {
        self.result = result
        endIndex = Int(PQntuples(result.raw))
    }

    package subscript(position: Int) -> Row {
        precondition(indices.contains(position), "row \(position) of \(count)")
        return Row(result: result, index: Int32(position))
    }

    /// Rows inserted, changed, deleted, or read.
    package var affectedCount: Int { Int(String(cString: PQcmdTuples(result.raw))) ?? 0 }

    /// What the server says it did: `COMMIT`, `ROLLBACK`, `INSERT 0 1`.
    var commandTag: String { String(cString: PQcmdStatus(result.raw)) }
}

/// One row. Columns are numbered from 0 in the order of the statement.
package struct Row {
    fileprivate let result: PostgresResult
    fileprivate let index: Int32

    /// A column that is never NULL.
    /// - Throws: `.invalidData` if it is NULL or not such a value.
    package subscript<Value: SQLDecodable>(column: Int) -> Value {
        get throws(DatabaseError) {
            guard let value: Value = try self[optional: column] else {
                throw DatabaseError(.invalidData, message: "column \(name(of: column)) is NULL")
            }
            return value
        }
    }

    /// A column that may be NULL.
    /// - Throws: `.invalidData` if it is not such a value.
    package subscript<Value: SQLDecodable>(optional column: Int) -> Value? {
        get throws(DatabaseError) {
            guard let number = Int32(exactly: column), number >= 0, number < PQnfields(result.raw) else {
                throw DatabaseError(.invalidData, message: "a statement has no column \(column)")
            }
            guard PQgetisnull(result.raw, index, number) == 0 else { return nil }
            let bytes = UnsafeRawBufferPointer(
                start: PQgetvalue(result.raw, index, number),
                count: Int(PQgetlength(result.raw, index, number)))
            guard let value = Value.decode(bytes, type: PQftype(result.raw, number)) else {
                throw DatabaseError(.invalidData, message: "column \(name(of: column)) is not a valid \(Value.self)")
            }
            return value
        }
    }

    private func name(of column: Int) -> String {
        PQfname(result.raw, Int32(clamping: column)).map { String(cString: $0) } ?? "\(column)"
    }
}
