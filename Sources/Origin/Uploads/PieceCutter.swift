// SPDX-License-Identifier: Apache-2.0

import Hashing
package import NIOCore

/// Cuts a body into segments that end at multiples of 1 MiB of the blob, whatever sizes the network delivers.
package struct PieceCutter {
    /// Bytes of the blob so far, those not yet cut included.
    package private(set) var sizeBytes: Int64
    private let endBytes: Int64?
    private let buffers: PieceBufferPool
    private var current: PieceBuffer?

    /// - Parameters:
    ///   - startBytes: Where in the blob the body starts.
    ///   - declaredBytes: Length of the body, if known.
    package init(startBytes: Int64, declaredBytes: Int64?, buffers: PieceBufferPool) {
        sizeBytes = startBytes
        endBytes = declaredBytes.map { startBytes + $0 }
        self.buffers = buffers
    }

    /// Whether the body may go on with so many bytes.
    package func hasRoom(for byteCount: Int) -> Bool {
        endBytes.map { Int64(byteCount) <= $0 - sizeBytes } ?? true
    }

    /// Whether the body has come to its declared end.
    package var isComplete: Bool { endBytes.map { sizeBytes == $0 } ?? true }

    /// Takes bytes from the front of `source`.
    /// - Returns: A segment if these bytes completed its piece; `nil` once `source` is empty.
    /// - Precondition: `hasRoom(for:)` what is in `source`.
    package mutating func next(from source: inout ByteBuffer) -> PieceBuffer? {
        guard source.readableBytes > 0 else { return nil }
        let roomBytes = PieceList.pieceBytes - sizeBytes % PieceList.pieceBytes
        let buffer = current ?? buffers.buffer(bytesMax: min(roomBytes, endBytes.map { $0 - sizeBytes } ?? roomBytes))
        sizeBytes += Int64(buffer.fill(from: &source, countMax: buffer.count + Int(roomBytes)))
        let isWhole = sizeBytes % PieceList.pieceBytes == 0
        current = isWhole ? nil : buffer
        return isWhole ? buffer : nil
    }

    /// What is left behind the last boundary; `nil` if nothing is.
    package mutating func rest() -> PieceBuffer? { current.take() }
}
