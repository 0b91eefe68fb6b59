// SPDX-License-Identifier: Apache-2.0

/// What a MAC covers: each field as a 4-byte big-endian length and its bytes, so that no byte can move from one field
/// to the next. Numbers are 8 bytes, big-endian.
package struct MACMessage: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init(capacityBytes: Int = 256) {
        bytes.reserveCapacity(capacityBytes)
    }

    package mutating func append(_ field: UnsafeRawBufferPointer) {
        precondition(field.count <= UInt32.max, "a field has at most 4 GiB")
        withUnsafeBytes(of: UInt32(field.count).bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: field)
    }

    package mutating func append(_ field: [UInt8]) {
        field.withUnsafeBytes { append($0) }
    }

    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    package mutating func append(_ number: Int64) {
        withUnsafeBytes(of: number.bigEndian) { append($0) }
    }
}
