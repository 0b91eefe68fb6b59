// SPDX-License-Identifier: Apache-2.0

import Hashing
import NIOCore
import Synchronization

/// Memory for the bytes of one segment: at most one 1 MiB piece.
///
/// Network buffers are copied into it: they come in any size, and a slow client's few bytes may pin 64 KiB each. The
/// copy costs 5 % of one hash pass and makes the memory of an upload a fixed number. One thread hop then carries a
/// whole piece.
package final class PieceBuffer: @unchecked Sendable {
    // SAFETY: written only by the receiving task, before it hands the buffer over; afterwards everybody only reads.
    private let memory: UnsafeMutableRawBufferPointer
    private let pool: PieceBufferPool
    package private(set) var count = 0

    fileprivate init(memory: UnsafeMutableRawBufferPointer, pool: PieceBufferPool) {
        self.memory = memory
        self.pool = pool
    }

    deinit { pool.giveBack(memory) }

    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    /// Moves bytes from the front of `source`, at most until this holds `countMax`. Returns how many.
    func fill(from source: inout ByteBuffer, countMax: Int) -> Int {
        let moved = min(source.readableBytes, min(countMax, memory.count) - count)
        guard moved > 0 else { return 0 }
        source.readWithUnsafeReadableBytes { readable in
            UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: readable[..<moved]))
            return moved
        }
        count += moved
        return moved
    }
}

/// Keeps a few piece buffers between uses: fresh memory of this size costs 256 page faults.
package final class PieceBufferPool: Sendable {
    static let pageBytes = 4096
    private static let pieceBytes = Int(PieceList.pieceBytes)

    private struct Idle: @unchecked Sendable {
        // SAFETY: memory in this list is referenced by nobody else, and the list is behind a mutex.
        var memory: [UnsafeMutableRawBufferPointer] = []
    }

    private let idle = Mutex(Idle())
    private let idleCountMax: Int

    /// - Parameter idleCountMax: Buffers of 1 MiB kept while nobody uses them.
    package init(idleCountMax: Int) { self.idleCountMax = idleCountMax }

    deinit { for memory in idle.withLock({ $0.memory }) { memory.deallocate() } }

    /// - Parameter bytesMax: What will be filled in at most. A small body gets small memory.
    func buffer(bytesMax: Int64) -> PieceBuffer {
        let needed = Int(clamping: min(bytesMax, PieceList.pieceBytes))
        if needed > Self.pieceBytes / 2, let memory = idle.withLock({ $0.memory.popLast() }) {
            return PieceBuffer(memory: memory, pool: self)
        }
        let capacity = needed > Self.pieceBytes / 2 ? Self.pieceBytes : max(needed, 1)
        return PieceBuffer(
            memory: .allocate(byteCount: capacity, alignment: capacity < Self.pageBytes ? 16 : Self.pageBytes),
            pool: self)
    }

    fileprivate func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        let isKept =
            memory.count == Self.pieceBytes
            && idle.withLock { idle in
                guard idle.memory.count < idleCountMax else { return false }
                idle.memory.append(memory)
                return true
            }
        if !isKept { memory.deallocate() }
    }
}
