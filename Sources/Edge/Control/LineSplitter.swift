// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines. A pure value.
package struct LineSplitter {
    private let lineBytesMax: Int
    private var pending: [UInt8] = []

    package init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    /// - Returns: The lines that are complete now, without line ends and without empty ones; `nil` when a line is too
    ///   long, after which the stream is of no use.
    package mutating func take(_ bytes: some Collection<UInt8>) -> [[UInt8]]? {
        var lines: [[UInt8]] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if !pending.isEmpty { lines.append(pending) }
                pending = []
            } else {
                guard pending.count < lineBytesMax else { return nil }
                pending.append(byte)
            }
        }
        return lines
    }
}
