// SPDX-License-Identifier: Apache-2.0

import Hashing
import Synchronization

/// Room for one piece. Owned by one fetch or one check at a time; goes back to the pool with its last reference.
package final class PieceBuffer: @unchecked Sendable {
    // SAFETY: handed from one owner to the next, never used by two threads at once.
    package let bytes: UnsafeMutableRawBufferPointer
    private let home: PieceBuffers

    fileprivate init(_ bytes: UnsafeMutableRawBufferPointer, home: PieceBuffers) {
        self.bytes = bytes
        self.home = home
    }

    deinit { home.putBack(bytes) }
}

/// Buffers of one piece, kept for the next use: a fresh mebibyte from the system costs 256 page faults.
package final class PieceBuffers: Sendable {
    private struct Memory: @unchecked Sendable {
        // SAFETY: only in the pool while nobody uses it.
        let bytes: UnsafeMutableRawBufferPointer
    }

    private let kept = Mutex<[Memory]>([])
    private let keptCountMax: Int

    /// - Parameter keptCountMax: Idle buffers to keep; how many are in use is bounded by who takes them.
    package init(keptCountMax: Int = 16) {
        self.keptCountMax = keptCountMax
    }

    deinit { kept.withLock { $0.forEach { $0.bytes.deallocate() } } }

    package func take() -> PieceBuffer {
        let memory = kept.withLock { $0.popLast() }
        return PieceBuffer(
            memory?.bytes ?? .allocate(byteCount: Int(PieceList.pieceBytes), alignment: 4096), home: self)
    }

    fileprivate func putBack(_ bytes: UnsafeMutableRawBufferPointer) {
        let memory = Memory(bytes: bytes)
        let isKept = kept.withLock { kept in
            guard kept.count < keptCountMax else { return false }
            kept.append(memory)
            return true
        }
        if !isKept { bytes.deallocate() }
    }
}
