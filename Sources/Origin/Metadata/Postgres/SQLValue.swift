// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import OCI

/// A parameter of a statement, with its PostgreSQL type. Sent in binary; `nil` is NULL.
package enum SQLValue: Sendable {
    case bool(Bool?)
    case int8(Int64?)
    case float8(Double?)
    case text(String?)
    case bytea([UInt8]?)
    case timestamptz(Date?)
    case uuid(UUID?)
    case int8Array([Int64])
    case textArray([String?])

    package static func digest(_ digest: Digest?) -> SQLValue { .text(digest?.description) }
    package static func digests(_ digests: some Sequence<Digest>) -> SQLValue {
        .textArray(digests.map(\.description))
    }

    /// Seconds, for `make_interval(secs => …)`.
    package static func seconds(_ duration: Duration?) -> SQLValue {
        .float8(
            duration.map { duration in
                let (seconds, attoseconds) = duration.components
                return Double(seconds) + Double(attoseconds) * 1e-18
            })
    }
}

/// Object identifiers of the types in use (PostgreSQL, `pg_type.dat`): fixed for all versions.
enum SQLType {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let float8: UInt32 = 701
    static let int8Array: UInt32 = 1016
    static let textArray: UInt32 = 1009
    static let varchar: UInt32 = 1043
    static let timestamptz: UInt32 = 1184
    static let uuid: UInt32 = 2950
}

extension SQLValue {
    var type: UInt32 {
        switch self {
        case .bool: SQLType.bool
        case .int8: SQLType.int8
        case .float8: SQLType.float8
        case .text: SQLType.text
        case .bytea: SQLType.bytea
        case .timestamptz: SQLType.timestamptz
        case .uuid: SQLType.uuid
        case .int8Array: SQLType.int8Array
        case .textArray: SQLType.textArray
        }
    }

    /// Appends the binary form.
    /// - Returns: Whether there is a value; `false` is NULL.
    /// - Throws: `.invalidData` for an instant outside PostgreSQL's range and for an oversized value.
    func encode(to bytes: inout [UInt8]) throws(DatabaseError) -> Bool {
        switch self {
        case .bool(let value?): bytes.append(value ? 1 : 0)
        case .int8(let value?): bytes.append(bigEndian: value)
        case .float8(let value?): bytes.append(bigEndian: value.bitPattern)
        case .text(let value?): bytes.append(contentsOf: value.utf8)
        case .bytea(let value?): bytes.append(contentsOf: value)
        case .timestamptz(let value?): bytes.append(bigEndian: try SQLTimestamp.microseconds(of: value))
        case .uuid(let value?): withUnsafeBytes(of: value.uuid) { bytes.append(contentsOf: $0) }
        case .int8Array(let values):
            try SQLArray.encodeHeader(count: values.count, of: SQLType.int8, hasNull: false, to: &bytes)
            for value in values {
                bytes.append(bigEndian: Int32(8))
                bytes.append(bigEndian: value)
            }
        case .textArray(let values):
            let hasNull = values.contains { $0 == nil }
            try SQLArray.encodeHeader(count: values.count, of: SQLType.text, hasNull: hasNull, to: &bytes)
            for value in values {
                guard let value else {
                    bytes.append(bigEndian: Int32(-1))
                    continue
                }
                bytes.append(bigEndian: try SQLArray.length(value.utf8.count))
                bytes.append(contentsOf: value.utf8)
            }
        case .bool(nil), .int8(nil), .float8(nil), .text(nil), .bytea(nil), .timestamptz(nil), .uuid(nil):
            return false
        }
        return true
    }
}

/// The binary form of a one-dimensional array (PostgreSQL, `array_send`).
enum SQLArray {
    static func encodeHeader(
        count: Int,
        of elementType: UInt32,
        hasNull: Bool,
        to bytes: inout [UInt8]
    ) throws(DatabaseError) {
        bytes.append(bigEndian: Int32(count == 0 ? 0 : 1))
        bytes.append(bigEndian: Int32(hasNull ? 1 : 0))
        bytes.append(bigEndian: elementType)
        if count > 0 {
            bytes.append(bigEndian: try length(count))
            bytes.append(bigEndian: Int32(1))
        }
    }

    static func length(_ count: Int) throws(DatabaseError) -> Int32 {
        guard let length = Int32(exactly: count) else {
            throw DatabaseError(.invalidData, message: "a parameter of \(count) bytes or elements is too large")
        }
        return length
    }
}

/// `timestamptz` in binary: microseconds since 2000-01-01T00:00:00Z.
enum SQLTimestamp {
    /// From 2000-01-01 to 2001-01-01, Foundation's reference date.
    private static let secondsBeforeReferenceDate: Double = 366 * 86_400

    static func microseconds(of date: Date) throws(DatabaseError) -> Int64 {
        let microseconds = ((date.timeIntervalSinceReferenceDate + secondsBeforeReferenceDate) * 1e6).rounded()
        guard let value = Int64(exactly: microseconds) else {
            throw DatabaseError(.invalidData, message: "an instant is outside the range of timestamptz")
        }
        return value
    }

    /// `nil` for ±infinity, which no column of ours holds.
    static func date(ofMicroseconds value: Int64) -> Date? {
        guard value != .max, value != .min else { return nil }
        return Date(timeIntervalSinceReferenceDate: Double(value) / 1e6 - secondsBeforeReferenceDate)
    }
}

extension [UInt8] {
    fileprivate mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
