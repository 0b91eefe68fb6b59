// SPDX-License-Identifier: Apache-2.0

import Blocking
import Hashing
import OCI
import OriginBlobStore
import Synchronization

/// Takes the bytes of one request to the disk: the whole hash runs on a lane of its own, piece hashes and writes run
/// beside it, and the receiving task waits only when too many pieces are in flight.
///
/// The ledger decides; this shell locks it, then acts. A failure of any job fails the pipeline for good.
final class UploadPipeline: Sendable {
    /// Asking for writeback in steps keeps the queue of the disk filled without a call per piece.
    private static let writebackBytes: Int64 = 8 << 20

    private typealias Continuation = CheckedContinuation<UploadError?, Never>

    private struct State {
        var ledger: UploadLedger<Continuation>
        /// The whole hash as it stood at the offset of the durable point that is due.
        /// By the bytes hashed; two at most: the point that is being synced, and the one that waits for it.
        var captured: [Int64: StreamingHash] = [:]
        /// The hash of the piece that the last segment leaves open.
        var openPiece: StreamingHash?
    }

    let file: any BlobFile
    let algorithm: DigestAlgorithm
    private let start: ResumePoint
    private let lease: UploadLease?
    private let lane: SerialLane
    private let diskPool: BlockingPool
    private let whole: Mutex<StreamingHash>
    private let state: Mutex<State>

    /// - Parameter lease: The right to write, checked before each write; `nil` for a file that nobody else knows of.
    init(
        file: any BlobFile,
        from start: ResumePoint,
        under lease: UploadLease?,
        hashPool: BlockingPool,
        diskPool: BlockingPool
    ) {
        self.file = file
        self.start = start
        self.lease = lease
        algorithm = start.algorithm
        lane = SerialLane(on: hashPool)
        self.diskPool = diskPool
        whole = Mutex(start.wholeHash)
        state = Mutex(State(ledger: UploadLedger(startBytes: start.offsetBytes), openPiece: start.pieceHash))
    }

    var submittedBytes: Int64 { state.withLock { $0.ledger.submittedBytes } }

    /// Takes one segment. Segments end at piece boundaries, the last one of a request anywhere.
    /// - Parameter isDurablePoint: Whether the whole hash is to be kept as it stands behind this segment.
    /// - Throws: `.overloaded` if a pool is full.
    func submit(_ buffer: PieceBuffer, isDurablePoint: Bool = false) throws(UploadError) {
        let range = state.withLock { $0.ledger.submit(byteCount: buffer.count) }
        do throws(BlockingError) {
            try lane.submit { [self] in
                let copy = whole.withLock { hash in
                    hash.update(buffer.bytes)
                    return isDurablePoint ? hash : nil
                }
                report { state in
                    if let copy { state.captured[range.upperBound] = copy }
                    return state.ledger.hashed(upTo: range.upperBound)
                }
            }
            try diskPool.submit { [self] in store(buffer, at: range) }
        } catch {
            fail(.overloaded)
            throw .overloaded
        }
    }

    /// Runs on the disk pool, in parallel for different segments.
    private func store(_ buffer: PieceBuffer, at range: Range<Int64>) {
        do {
            let pieceDigest = hashPiece(buffer, at: range)
            try lease?.check()
            try file.write(buffer.bytes, at: range.lowerBound)
            if range.upperBound % Self.writebackBytes == 0 {
                file.startWriteback(max(0, range.upperBound - Self.writebackBytes)..<range.upperBound)
            }
            report { $0.ledger.wrote(range, pieceDigest: pieceDigest) }
        } catch {
            fail(UploadError(error))
        }
    }

    /// - Returns: The digest of the piece if the segment completes it; otherwise its hash stays open.
    private func hashPiece(_ buffer: PieceBuffer, at range: Range<Int64>) -> Digest? {
        let isFromStart = range.lowerBound % PieceList.pieceBytes == 0
        let isToEnd = range.upperBound % PieceList.pieceBytes == 0
        if isFromStart, isToEnd { return SHA256.hash(buffer.bytes) }
        // Only the first segment of a request can start inside a piece, so what is open is what it was resumed with.
        var hash = isFromStart ? StreamingHash(.sha256) : start.pieceHash ?? StreamingHash(.sha256)
        hash.update(buffer.bytes)
        if isToEnd { return hash.finalized() }
        state.withLock { $0.openPiece = hash }
        return nil
    }

    /// Returns when at most `countMax − 1` pieces are in flight.
    func waitForRoom(inFlightCountMax countMax: Int) async throws(UploadError) {
        try await waitUntilSettled(submittedBytes - Int64(countMax - 1) * PieceList.pieceBytes)
    }

    /// Returns when everything before `bytes` is hashed and written.
    private func waitUntilSettled(_ bytes: Int64) async throws(UploadError) {
        let failure: UploadError? = await withCheckedContinuation { continuation in
            switch state.withLock({ $0.ledger.wait(untilSettled: bytes, continuation) }) {
            case .ready: continuation.resume(returning: nil)
            case .failed(let error): continuation.resume(returning: error)
            case .queued: break
            }
        }
        if let failure { throw failure }
    }

    /// Makes everything before `bytes` durable, at a segment that was submitted as a durable point.
    /// - Returns: What to store with the session.
    func durablePoint(at bytes: Int64) async throws(UploadError) -> ResumePoint {
        try await waitUntilSettled(bytes)
        try await sync(upTo: bytes)
        guard let hash = state.withLock({ $0.captured.removeValue(forKey: bytes) }) else {
            preconditionFailure("a durable point is taken once, at the segment that announced it")
        }
        return ResumePoint(offsetBytes: bytes, wholeHash: hash, pieceHash: nil)
    }

    /// Makes everything submitted durable.
    /// - Returns: What to store with the session.
    func settle() async throws(UploadError) -> ResumePoint {
        let bytes = submittedBytes
        try await waitUntilSettled(bytes)
        try await sync(upTo: bytes)
        return ResumePoint(
            offsetBytes: bytes,
            wholeHash: whole.withLock { $0 },
            pieceHash: bytes % PieceList.pieceBytes == 0 ? nil : state.withLock { $0.openPiece })
    }

    private func sync(upTo bytes: Int64) async throws(UploadError) {
        try await onDisk { [self] in
            let (firstIndex, rawDigests) = state.withLock { $0.ledger.takePieceDigests(upTo: bytes) }
            try lease?.check()
            // No whole piece yet, no list: small blobs cost no second file.
            if !rawDigests.isEmpty { try file.appendPieces(rawDigests, at: firstIndex) }
            try file.syncDurablePoint()
        }
    }

    /// The digest of everything submitted.
    func digest() async throws(UploadError) -> Digest {
        try await waitUntilSettled(submittedBytes)
        return whole.withLock { $0.finalized() }
    }

    /// Completes the piece list and makes the blob durable under the name that it will be committed with.
    /// - Throws: `.store`.
    func seal(as algorithm: DigestAlgorithm) async throws(UploadError) {
        let bytes = submittedBytes
        try await waitUntilSettled(bytes)
        try await onDisk { [self] in
            let (firstIndex, wholePieces, openPiece) = state.withLock { state in
                let taken = state.ledger.takePieceDigests(upTo: bytes)
                return (taken.firstIndex, taken.rawDigests, state.openPiece)
            }
            try lease?.check()
            if PieceRule.needsSideFile(algorithm: algorithm, sizeBytes: bytes) {
                let isOpen = bytes % PieceList.pieceBytes != 0
                let lastDigest = isOpen ? openPiece?.finalized().bytes ?? [] : []
                try file.appendPieces(wholePieces + lastDigest, at: firstIndex)
            }
            try file.syncForCommit(sizeBytes: bytes)
        }
    }

    /// Reads the whole blob again for an algorithm that was not announced. Runs on the lane.
    func rehash(with algorithm: DigestAlgorithm) async throws(UploadError) -> Digest {
        let bytes = submittedBytes
        try await waitUntilSettled(bytes)
        do {
            return try await lane.run { [file] in
                var hash = StreamingHash(algorithm)
                try withUnsafeTemporaryAllocation(byteCount: Int(PieceList.pieceBytes), alignment: 4096) { scratch in
                    while hash.byteCount < bytes {
                        let readCount = try file.read(into: scratch, at: hash.byteCount)
                        guard readCount > 0 else {
                            throw BlobStoreError(.damaged, "\(file.key) ends at \(hash.byteCount) of \(bytes) bytes")
                        }
                        hash.update(UnsafeRawBufferPointer(rebasing: scratch[..<readCount]))
                    }
                }
                return hash.finalized()
            }
        } catch {
            throw UploadError(error)
        }
    }

    private func onDisk(_ work: @escaping @Sendable () throws -> Void) async throws(UploadError) {
        do { try await diskPool.run(work) } catch {
            let error = UploadError(error)
            fail(error)
            throw error
        }
    }

    private func report(_ event: (inout State) -> [Continuation]) {
        for waiter in state.withLock({ event(&$0) }) { waiter.resume(returning: nil) }
    }

    private func fail(_ error: UploadError) {
        for waiter in state.withLock({ $0.ledger.failed(error) }) { waiter.resume(returning: error) }
    }
}
