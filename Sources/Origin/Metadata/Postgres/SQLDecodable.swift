// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import OCI

/// A value that a column can be read as.
package protocol SQLDecodable {
    /// - Parameters:
    ///   - bytes: The column in PostgreSQL's binary format.
    ///   - type: Object identifier of the column's type.
    /// - Returns: `nil` if type or bytes are not those of such a value.
    static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Self?
}

extension Bool: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Bool? {
        guard type == SQLType.bool, bytes.count == 1 else { return nil }
        return bytes[0] != 0
    }
}

extension Int64: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Int64? {
        switch type {
        case SQLType.int8: bytes.bigEndian(Int64.self)
        case SQLType.int4: bytes.bigEndian(Int32.self).map(Int64.init)
        default: nil
        }
    }
}

extension Double: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Double? {
        guard type == SQLType.float8 else { return nil }
        return bytes.bigEndian(UInt64.self).map(Double.init(bitPattern:))
    }
}

extension String: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> String? {
        guard [SQLType.text, SQLType.varchar, SQLType.name].contains(type) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension [UInt8]: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> [UInt8]? {
        type == SQLType.bytea ? Array(bytes) : nil
    }
}

extension Date: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Date? {
        guard type == SQLType.timestamptz else { return nil }
        return bytes.bigEndian(Int64.self).flatMap(SQLTimestamp.date(ofMicroseconds:))
    }
}

extension UUID: SQLDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> UUID? {
        guard type == SQLType.uuid, bytes.count == MemoryLayout<uuid_t>.size else { return nil }
        return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
    }
}

/// A type of our own that is stored as its text, and checked again when it is read.
package protocol SQLTextDecodable: SQLDecodable {
    init?(sqlText: String)
}

extension SQLTextDecodable {
    package static func decode(_ bytes: UnsafeRawBufferPointer, type: UInt32) -> Self? {
        String.decode(bytes, type: type).flatMap(Self.init(sqlText:))
    }
}

extension SQLTextDecodable where Self: RawRepresentable<String> {
    package init?(sqlText: String) { self.init(rawValue: sqlText) }
}

extension Digest: SQLTextDecodable { package init?(sqlText: String) { self.init(sqlText) } }
extension DigestAlgorithm: SQLTextDecodable {}
extension OrganizationSlug: SQLTextDecodable { package init?(sqlText: String) { self.init(sqlText) } }
extension RepositoryName: SQLTextDecodable { package init?(sqlText: String) { self.init(sqlText) } }
extension Tag: SQLTextDecodable { package init?(sqlText: String) { self.init(sqlText) } }

extension UnsafeRawBufferPointer {
    /// `nil` unless the buffer holds exactly one such integer.
    fileprivate func bigEndian<Value: FixedWidthInteger & BitwiseCopyable>(_: Value.Type) -> Value? {
        guard count == MemoryLayout<Value>.size else { return nil }
        return Value(bigEndian: loadUnaligned(as: Value.self))
    }
}
