// SPDX-License-Identifier: Apache-2.0

import Hashing
package import OCI

/// How far the segments of one request have come. A pure value: no lock, clock, or I/O inside.
///
/// Segments are submitted in order. Each is hashed into the whole digest (in order) and, independently, hashed as a
/// piece and written (in any order). A byte is *settled* when both have passed it and everything before it.
/// `Waiter` stands for a suspended task; calls return those that the caller resumes after it left its lock.
package struct UploadLedger<Waiter> {
    package enum Wait {
        case ready
        case queued
        case failed(UploadError)
    }

    package private(set) var submittedBytes: Int64
    package private(set) var failure: UploadError?
    private var hashedBytes: Int64
    private var writtenBytes: Int64
    /// Segments written ahead of a gap: start → end.
    private var writtenAhead: [Int64: Int64] = [:]
    private var pieceDigests: [Int: Digest] = [:]
    private var nextPieceIndex: Int
    private var waiters: [(untilBytes: Int64, waiter: Waiter)] = []

    /// - Parameter startBytes: The session's size before this request; its whole pieces are already in the side file.
    package init(startBytes: Int64) {
        submittedBytes = startBytes
        hashedBytes = startBytes
        writtenBytes = startBytes
        nextPieceIndex = Int(startBytes / PieceList.pieceBytes)
    }

    /// Everything before this offset is hashed and written.
    package var settledBytes: Int64 { min(hashedBytes, writtenBytes) }

    /// Gives the next segment its place.
    package mutating func submit(byteCount: Int) -> Range<Int64> {
        let start = submittedBytes
        submittedBytes += Int64(byteCount)
        return start..<submittedBytes
    }

    package mutating func hashed(upTo bytes: Int64) -> [Waiter] {
        precondition(bytes > hashedBytes, "segments are hashed in order")
        hashedBytes = bytes
        return ready()
    }

    /// - Parameter pieceDigest: The digest of the piece that the segment completes, if it does.
    package mutating func wrote(_ range: Range<Int64>, pieceDigest: Digest?) -> [Waiter] {
        if let pieceDigest {
            pieceDigests[Int((range.upperBound - 1) / PieceList.pieceBytes)] = pieceDigest
        }
        writtenAhead[range.lowerBound] = range.upperBound
        while let end = writtenAhead.removeValue(forKey: writtenBytes) { writtenBytes = end }
        return ready()
    }

    /// The first failure counts; nothing is waited for any longer.
    package mutating func failed(_ error: UploadError) -> [Waiter] {
        failure = failure ?? error
        defer { waiters = [] }
        return waiters.map(\.waiter)
    }

    package mutating func wait(untilSettled bytes: Int64, _ waiter: Waiter) -> Wait {
        if let failure { return .failed(failure) }
        if settledBytes >= bytes { return .ready }
        waiters.append((bytes, waiter))
        return .queued
    }

    /// Hands out the digests of the whole pieces that end at or before `bytes` and were not handed out before.
    /// - Precondition: `bytes` is settled.
    package mutating func takePieceDigests(upTo bytes: Int64) -> (firstIndex: Int, rawDigests: [UInt8]) {
        precondition(bytes <= settledBytes, "pieces are taken after they were written")
        let firstIndex = nextPieceIndex
        var rawDigests: [UInt8] = []
        while Int64(nextPieceIndex + 1) * PieceList.pieceBytes <= bytes,
            let digest = pieceDigests.removeValue(forKey: nextPieceIndex)
        {
            rawDigests += digest.bytes
            nextPieceIndex += 1
        }
        return (firstIndex, rawDigests)
    }

    private mutating func ready() -> [Waiter] {
        let settledBytes = settledBytes
        guard failure == nil, waiters.contains(where: { $0.untilBytes <= settledBytes }) else { return [] }
        let ready = waiters.filter { $0.untilBytes <= settledBytes }
        waiters.removeAll { $0.untilBytes <= settledBytes }
        return ready.map(\.waiter)
    }
}
