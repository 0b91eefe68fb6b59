// SPDX-License-Identifier: Apache-2.0

/// The parameters of one execution, laid out as libpq wants them, in one buffer.
struct EncodedParameters {
    let types: [UInt32]
    private let bytes: [UInt8]
    /// `nil` is NULL.
    private let offsets: [Int?]
    private let lengths: [Int32]

    init(_ values: [SQLValue]) throws(DatabaseError) {
        var bytes: [UInt8] = []
        var offsets: [Int?] = []
        var lengths: [Int32] = []
        for value in values {
            let start = bytes.count
            let isPresent = try value.encode(to: &bytes)
            offsets.append(isPresent ? start : nil)
            lengths.append(try SQLArray.length(bytes.count - start))
        }
        // A value of no bytes at the end needs an address too: NULL is told by the pointer.
        bytes.append(0)
        types = values.map(\.type)
        self.bytes = bytes
        self.offsets = offsets
        self.lengths = lengths
    }

    /// Calls `body` with count, types, values, lengths, and formats (all binary), valid during the call.
    func withPointers<Value>(
        _ body: (
            Int32, UnsafePointer<UInt32>?, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?,
            UnsafePointer<Int32>?
        ) -> Value
    ) -> Value {
        bytes.withUnsafeBufferPointer { bytes in
            let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
            let values = offsets.map { offset in offset.flatMap { start?.advanced(by: $0) } }
            let formats = [Int32](repeating: 1, count: values.count)
            return body(Int32(values.count), types, values, lengths, formats)
        }
    }
}
