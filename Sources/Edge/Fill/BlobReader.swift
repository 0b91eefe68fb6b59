// SPDX-License-Identifier: Apache-2.0

import Blocking
package import Disk
import EdgeCache
import Hashing
import OCI
import Synchronization

/// The verified bytes of one blob for one response.
///
/// States: begun → opening → open, on a file of the cache, or filling, with or without a file → closed. A file that turns
/// out to be damaged as a whole sends the reader back to the beginning.
package final class BlobReader: Sendable {
    /// Verified bytes, ready to leave without waiting for a disk.
    package enum Window: Sendable {
        /// Resident pages of a file; the range is of offsets in the file, which are offsets in the blob.
        case file(File, Range<Int64>)
        case bytes([UInt8])
    }

    package enum Failure: Error, Sendable, Equatable {
        /// No parent knows the blob: 404.
        case unknownBlob
        /// No parent can be reached, or the edge is overloaded: 503.
        case unavailable
        /// The parents sent wrong bytes: 502.
        case corrupt
        /// The cache cannot be read: 500.
        case io
    }

    package enum Step: Sendable {
        case ready(Window)
        /// Ask again after `wake`.
        case later
        case failed(Failure)
    }

    /// Bytes of the largest blob: no longer piece list is fetched. What is kept per piece is made from the size in the
    /// link, before anybody is asked.
    package static let blobBytesMax: Int64 = 2 << 40

    /// Pieces that are checked ahead of the one that is wanted.
    private static let checkedAheadPieces = 4
    /// Times that a reader begins anew after a damaged file.
    private static let restartCountMax = 4

    private enum Phase {
        case begun
        /// The wake-up is there once the caller was told to come back.
        case opening(wake: (@Sendable () -> Void)?)
        /// Nothing usable on disk.
        case missing(mayCreate: Bool)
        case open(CachedBlob)
        /// The reader's own pin on the blob, if it has one, is apart from the fill's.
        case filling(Fill, own: CachedBlob?)
        case failed(Failure)
        case closed
    }

    private struct State {
        var phase = Phase.begun
        var restartCount = 0
        var isHit = true
        var lastPiece = -1
        /// The fill said that this piece is on disk.
        var promisedPiece = -1
        /// A piece that was read for this reader, where the page cache cannot be asked.
        var handed: (piece: Int, bytes: [UInt8])?
    }

    private enum Turn {
        case done(Step)
        case again
    }

    private let id: FillPlan.ReaderID
    private let name: BlobName
    private let target: String
    private let engine: FillEngine
    private let state: Mutex<State>

    init(id: FillPlan.ReaderID, name: BlobName, target: String, engine: FillEngine) {
        self.id = id
        self.name = name
        self.target = target
        self.engine = engine
        state = Mutex(State(phase: name.sizeBytes <= Self.blobBytesMax ? .begun : .failed(.unknownBlob)))
    }

    deinit { close() }

    /// The next verified bytes at `offset`. Never blocks; one caller at a time.
    ///
    /// - Parameters:
    ///   - end: Where the caller's interest ends: read-ahead does not go past it.
    ///   - most: Bytes of a window of the file at most. Bytes in memory come up to the end of their piece.
    ///   - wake: Called once after `.later` and never otherwise, from any thread, when asking again is worthwhile. After
    ///     `close` it may be called or dropped.
    package func next(
        from offset: Int64, upTo end: Int64, atMost most: Int64, wake: @escaping @Sendable () -> Void
    ) -> Step {
        let end = min(end, name.sizeBytes)
        guard offset >= 0, offset < end else { return .ready(.bytes([])) }
        let ask = Ask(
            window: offset..<min(end, offset + max(1, most)),
            piece: Int(offset / PieceList.pieceBytes),
            end: end)
        while true {
            let turn: Turn =
                switch state.withLock({ $0.phase }) {
                case .begun: begin(wake)
                case .opening: .done(.failed(.io))  // Asked again without having been woken.
                case .missing(let mayCreate): join(blob: nil, own: nil, mayCreate: mayCreate)
                case .open(let blob): inspect(blob, fill: nil, ask, wake)
                case .filling(let fill, let own):
                    if let blob = own ?? fill.blob {
                        inspect(blob, fill: fill, ask, wake)
                    } else {
                        wait(for: ask.piece, fill, ask, isLost: false, wake)
                    }
                case .failed(let failure): .done(.failed(failure))
                case .closed: .done(.failed(.unavailable))
                }
            if case .done(let step) = turn { return step }
        }
    }

    /// For HEAD and for blobs of no bytes: is the blob here, or known to a parent? The window of `.ready` is empty.
    package func exists(wake: @escaping @Sendable () -> Void) -> Step {
        if name.sizeBytes == 0 {
            let isEmpty = StreamingHash(name.digest.algorithm).finalized() == name.digest
            return isEmpty ? .ready(.bytes([])) : .failed(.unknownBlob)
        }
        while true {
            let turn: Turn =
                switch state.withLock({ $0.phase }) {
                case .begun: begin(wake)
                case .opening: .done(.failed(.io))
                case .missing(let mayCreate): join(blob: nil, own: nil, mayCreate: mayCreate)
                case .open: .done(.ready(.bytes([])))
                case .filling(let fill, _):
                    switch fill.asksForParents(id, target: target, wake: wake) {
                    case .wait: .done(.later)
                    case .here, .bytes: .done(.ready(.bytes([])))
                    case .failed(let failure): .done(.failed(failure))
                    case .ended: restart()
                    }
                case .failed(let failure): .done(.failed(failure))
                case .closed: .done(.failed(.unavailable))
                }
            if case .done(let step) = turn { return step }
        }
    }

    /// Whether nothing had to be fetched for this reader so far.
    package var isHit: Bool { state.withLock { $0.isHit } }

    /// Gives up interest in the blob. Also done by `deinit`; calling it twice is harmless.
    package func close() { leave(for: .closed) }

    // MARK: Turns

    private struct Ask {
        let window: Range<Int64>
        let piece: Int
        let end: Int64

        var endPiece: Int { Int((end - 1) / PieceList.pieceBytes) + 1 }
    }

    private func begin(_ wake: @escaping @Sendable () -> Void) -> Turn {
        if let fill = engine.fill(for: name) {
            state.withLock { $0.phase = .filling(fill, own: nil) }
            return .again
        }
        if let blob = engine.cache.openedBlob(name.digest, sizeBytes: name.sizeBytes) {
            state.withLock { $0.phase = .open(blob) }
            return .again
        }
        state.withLock { $0.phase = .opening(wake: nil) }
        engine.cache.open(name.digest, sizeBytes: name.sizeBytes) { [self] result in opened(result) }
        return state.withLock { state in
            guard case .opening = state.phase else { return .again }
            state.phase = .opening(wake: wake)
            return .done(.later)
        }
    }

    private func opened(_ result: Result<CachedBlob?, CacheError>) {
        let (wake, surplus): ((@Sendable () -> Void)?, CachedBlob?) = state.withLock { state in
            guard case .opening(let wake) = state.phase else { return (nil, try? result.get()) }
            state.phase =
                switch result {
                case .success(let blob?): .open(blob)
                case .success(nil): .missing(mayCreate: true)
                case .failure(let error) where error.kind == .overloaded: .failed(.unavailable)
                // The disk fails: the blob passes through without it.
                case .failure: .missing(mayCreate: false)
                }
            return (wake, nil)
        }
        if let surplus { engine.cache.release(surplus) }
        wake?()
    }

    /// Takes part in the blob's fill from now on.
    private func join(blob: CachedBlob?, own: CachedBlob?, mayCreate: Bool) -> Turn {
        let fill = engine.fill(for: name, blob: blob, mayCreate: mayCreate, target: target)
        state.withLock { state in
            state.isHit = false
            state.phase = .filling(fill, own: own)
        }
        return .again
    }

    private func inspect(
        _ blob: CachedBlob, fill: Fill?, _ ask: Ask, _ wake: @escaping @Sendable () -> Void
    ) -> Turn {
        switch blob.inspect(ask.window) {
        case .ready(let range):
            serve(fill, blob, ask, checkAheadFrom: Int(range.upperBound / PieceList.pieceBytes))
            return .done(.ready(.file(blob.file, range)))
        case .unchecked(let pieces):
            let ahead = pieces.lowerBound..<min(ask.endPiece, pieces.lowerBound + Self.checkedAheadPieces)
            do throws(CacheError) {
                return try blob.check(ahead, then: wake) ? .done(.later) : .again
            } catch {
                return .done(.failed(.unavailable))
            }
        case .bytes(let bytes): return .done(.ready(.bytes(Self.part(of: bytes, 0, ask))))
        case .readThrough(let piece): return readThrough(blob, piece, ask, wake)
        case .absent(let piece):
            guard let fill else { return joinFill(of: blob) }
            let isLost = state.withLock { state in
                defer { state.promisedPiece = -1 }
                return state.promisedPiece == piece
            }
            return wait(for: piece, fill, ask, isLost: isLost, wake)
        case .lost:
            engine.cache.discard(blob)
            if let fill, fill.blob === blob { fill.abandon() }
            return restart()
        }
    }

    /// The fill has a pin of its own on the file, since it may outlive this reader.
    private func joinFill(of blob: CachedBlob) -> Turn {
        guard let pinned = engine.cache.openedBlob(name.digest, sizeBytes: name.sizeBytes), pinned === blob else {
            // Somebody found the file damaged meanwhile.
            return restart()
        }
        return join(blob: pinned, own: blob, mayCreate: true)
    }

    private func wait(
        for piece: Int, _ fill: Fill, _ ask: Ask, isLost: Bool, _ wake: @escaping @Sendable () -> Void
    ) -> Turn {
        state.withLock { state in
            state.isHit = false
            state.lastPiece = piece
        }
        switch fill.wants(id, piece: piece, end: ask.endPiece, isLost: isLost, target: target, wake: wake) {
        case .wait: return .done(.later)
        case .here:
            // Stored since the look at the file. If the file does not have it at the next look, it was lost.
            state.withLock { $0.promisedPiece = piece }
            return .again
        case .bytes(let bytes): return .done(.ready(.bytes(Self.part(of: bytes, piece, ask))))
        case .failed(let failure): return .done(.failed(failure))
        case .ended: return restart()
        }
    }

    /// Where the page cache cannot be asked, each reader's pieces are read and hashed for it alone.
    private func readThrough(
        _ blob: CachedBlob, _ piece: Int, _ ask: Ask, _ wake: @escaping @Sendable () -> Void
    ) -> Turn {
        if let handed = state.withLock({ $0.handed }), handed.piece == piece {
            return .done(.ready(.bytes(Self.part(of: handed.bytes, piece, ask))))
        }
        do throws(BlockingError) {
            try engine.pool.submit { [self] in
                // If it does not match, it is absent now, which the next look finds.
                let bytes = blob.readChecked(piece)
                state.withLock { $0.handed = bytes.map { (piece, $0) } }
                wake()
            }
            return .done(.later)
        } catch {
            return .done(.failed(.unavailable))
        }
    }

    /// All that is wanted of the piece: it may not be there at the next call, and in memory it cannot change.
    private static func part(of bytes: [UInt8], _ piece: Int, _ ask: Ask) -> [UInt8] {
        let start = Int64(piece) * PieceList.pieceBytes
        let lower = Int(ask.window.lowerBound - start)
        let upper = Int(min(Int64(bytes.count), ask.end - start))
        return lower == 0 && upper == bytes.count ? bytes : Array(bytes[lower..<max(lower, upper)])
    }

    private func serve(_ fill: Fill?, _ blob: CachedBlob, _ ask: Ask, checkAheadFrom next: Int) {
        let isNewPiece = state.withLock { state in
            defer { state.lastPiece = ask.piece }
            return state.lastPiece != ask.piece
        }
        guard isNewPiece else { return }
        fill?.moved(id, to: ask.piece, end: ask.endPiece)
        let ahead = next..<min(ask.endPiece, next + Self.checkedAheadPieces)
        // A full pool refuses this: then the pieces are checked when they are wanted.
        if next < ask.endPiece { _ = try? blob.check(ahead, then: {}) }
    }

    private func restart() -> Turn {
        let isAllowed = state.withLock { state in
            state.restartCount += 1
            return state.restartCount <= Self.restartCountMax
        }
        leave(for: isAllowed ? .begun : .failed(.io))
        return .again
    }

    private func leave(for next: Phase) {
        let last = state.withLock { state in
            defer { if case .closed = state.phase {} else { state.phase = next } }
            state.handed = nil
            return state.phase
        }
        switch last {
        case .open(let blob): engine.cache.release(blob)
        case .filling(let fill, let own):
            fill.left(id)
            if let own { engine.cache.release(own) }
        case .begun, .opening, .missing, .failed, .closed: break
        }
    }
}
