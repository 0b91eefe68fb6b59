// SPDX-License-Identifier: Apache-2.0

import Blocking
package import Disk
import Glibc
package import Hashing
import Logging
package import OCI
import Synchronization
import Telemetry

/// One open blob of the cache, complete or partial, shared by all who read and fill it.
///
/// **No unverified byte leaves through it.** Read-ahead is off, and only whole pieces are read, by `check`, which hashes
/// them; so a page that is in memory was hashed in memory. Before a window is handed out, `inspect` asks three things:
/// the file's size and ctime (a foreign change clears all marks), the page cache (a page that left memory clears its
/// piece's mark), and the marks. What has no mark is read and hashed on the disk pool first, and the window is inspected
/// again. A piece that fails is absent from then on, and a fill puts it in place again.
///
/// What this cannot see: a page that leaves memory between `inspect` and sendfile(2), a foreign write within the very
/// system call of one of our own writes or, before Linux 6.13, within one tick of it, and memory that lies.
package final class CachedBlob: Sendable {
    /// How the page cache is asked.
    package enum Residency: Sendable, Equatable {
        /// cachestat(2), or mincore(2) where the kernel lacks it; the other way where neither tells.
        case pageCache
        /// Not at all: each piece is read and hashed on the pool for each reader, and those bytes are sent.
        case readThrough
    }

    package enum WindowState: Sendable {
        /// A prefix of the window: on disk, checked, and in memory now. Not empty.
        case ready(Range<Int64>)
        /// On disk, to be hashed before use: `check`.
        case unchecked(Range<Int>)
        /// On disk, to be read by `readChecked`, whose bytes are the ones to send.
        case readThrough(piece: Int)
        case absent(piece: Int)
        /// The whole blob, from this process's own memory.
        case bytes([UInt8])
        /// The file is truncated or unreadable: drop the blob and open it anew.
        case lost
    }

    package enum StoreOutcome: Sendable, Equatable {
        case stored
        /// With this piece the blob became complete; whoever gets this answer commits it.
        case storedLast
        case mismatch
        /// The file is truncated or unreadable; nothing was stored.
        case lost
    }

    private struct State {
        var marks: PieceMarks
        /// Who waits for the check of a piece that runs.
        var checks: [Int: [@Sendable () -> Void]] = [:]
        var isLost = false
        var isComplete: Bool
        /// Of a small blob that was read and found right: sent from here, without another look at the file.
        var content: [UInt8]?
        var uses: UseCount
    }

    /// A blob up to this size is kept in memory while it is open, from its first check on: asking the page cache about
    /// four pages costs as much as sending them. Times the blobs that stay open, 8 MiB.
    private static let contentBytesMax: Int64 = 16 * 1024

    package let name: BlobName
    package let pieces: PieceList
    package let file: File
    /// Of a partial blob; the bits are kept up to date until the commit.
    private let map: File?
    private let environment: CacheEnvironment
    private let state: Mutex<State>
    /// Held while the cache itself changes the file; `state` is taken inside of it, never the other way round.
    private let ownChange = Mutex<Void>(())
    /// Blob and trailer: the size of the file from its creation on.
    private let fileBytes: Int64
    /// On disk since another run of the kernel: pieces may be missing although the map has them.
    let isSuspect: Bool
    /// Made to be filled, not found on disk.
    let isFetched: Bool

    package var digest: Digest { name.digest }
    package var sizeBytes: Int64 { name.sizeBytes }

    /// - Parameters:
    ///   - map: `nil` for a complete blob.
    ///   - isFetched: Whether the blob was made for a reader, and not found on disk.
    ///   - changeTime: The file's ctime, read after the last change by the cache itself.
    init(
        name: BlobName,
        pieces: PieceList,
        file: File,
        map: File?,
        present: PieceSet,
        isSuspect: Bool,
        isFetched: Bool = false,
        changeTime: Int64,
        environment: CacheEnvironment
    ) {
        self.name = name
        self.pieces = pieces
        self.file = file
        self.map = map
        self.isSuspect = isSuspect
        self.isFetched = isFetched
        self.environment = environment
        fileBytes = name.sizeBytes + BlobTrailer.byteCount(forBlobOf: name.sizeBytes)
        state = Mutex(
            State(
                marks: PieceMarks(present: present, changeTime: changeTime), isComplete: map == nil,
                uses: UseCount(isFetched: isFetched)))
    }

    /// Whether the blob was committed.
    package var isComplete: Bool { state.withLock { $0.isComplete } }

    /// The pieces on disk, checked or not.
    package var present: PieceSet { state.withLock { $0.marks.present } }

    /// Bytes of the pieces on disk.
    var storedBytes: Int64 {
        let (count, hasLast) = state.withLock { state in
            (Int64(state.marks.present.count), state.marks.present.contains(pieces.count - 1))
        }
        let missingOfLast = hasLast ? Int64(pieces.count) * PieceList.pieceBytes - sizeBytes : 0
        return count * PieceList.pieceBytes - missingOfLast
    }

    /// Uses since the last call; see `UseCount`.
    func takeUses() -> Int { state.withLock { $0.uses.take() } }

    // MARK: Inspecting

    /// What can be sent of the window now. Never blocks; any thread.
    /// - Parameter window: Not empty, within the blob.
    package func inspect(_ window: Range<Int64>) -> WindowState {
        let answer = look(at: window)
        guard window.lowerBound == 0 else { return answer }
        switch answer {
        case .ready, .readThrough, .bytes:
            let now = environment.now()
            state.withLock { $0.uses.read(at: now) }
        case .unchecked, .absent, .lost: break
        }
        return answer
    }

    private func look(at window: Range<Int64>) -> WindowState {
        precondition(
            !window.isEmpty && window.lowerBound >= 0 && window.upperBound <= sizeBytes, "a window of the blob")
        let touched = Self.pieces(in: window)
        let (survey, ticket, isLost, content) = state.withLock {
            ($0.marks.survey(touched), $0.marks.ticket, $0.isLost, $0.content)
        }
        if let content { return .bytes(content) }
        if isLost { return .lost }
        switch survey {
        case .absent(let piece): return .absent(piece: piece)
        case _ where environment.residency == .readThrough: return .readThrough(piece: touched.lowerBound)
        // Nothing is about to be sent yet; the rule is applied when something is.
        case .unchecked(let pieces): return .unchecked(pieces)
        case .checked(let count):
            // Pieces behind the checked ones may be on their way into memory by a check, and would look missing.
            let checked = touched.prefix(count)
            let window = window.clamped(to: window.lowerBound..<pieces.range(of: checked.upperBound - 1).upperBound)
            return inspect(window, checked, ticket)
        }
    }

    private func inspect(_ window: Range<Int64>, _ touched: Range<Int>, _ ticket: PieceMarks.Ticket) -> WindowState {
        do throws(DiskError) {
            guard let missingCount = try file.missingPages(window) else {
                return .readThrough(piece: touched.lowerBound)
            }
            return try inspectPages(window, touched, missingCount: missingCount, ticket)
        } catch {
            return markLost("\(error)")
        }
    }

    private func inspectPages(
        _ window: Range<Int64>,
        _ touched: Range<Int>,
        missingCount: Int,
        _ ticket: PieceMarks.Ticket
    ) throws(DiskError) -> WindowState {
        var left: [Int] = []
        if missingCount > 0 {
            for piece in touched {
                let part = pieces.range(of: piece).clamped(to: window)
                if try file.missingPages(part) ?? 1 > 0 { left.append(piece) }
            }
        }
        let status = try file.status()
        guard status.sizeBytes == fileBytes else { return markLost("size is \(status.sizeBytes)") }
        let survey = judge(status, ticket, leftMemory: left, touched)
        return Self.answer(survey, window)
    }

    private func judge(
        _ status: FileStatus,
        _ ticket: PieceMarks.Ticket,
        leftMemory: [Int],
        _ touched: Range<Int>
    ) -> PieceMarks.Survey {
        state.withLock { state in
            state.marks.observed(changeTime: status.changeTime, after: ticket)
            for piece in leftMemory { state.marks.leftMemory(piece) }
            return state.marks.survey(touched)
        }
    }

    private static func answer(_ survey: PieceMarks.Survey, _ window: Range<Int64>) -> WindowState {
        switch survey {
        case .checked(let count):
            let end = (window.lowerBound / PieceList.pieceBytes + Int64(count)) * PieceList.pieceBytes
            return .ready(window.lowerBound..<min(window.upperBound, end))
        case .unchecked(let pieces): return .unchecked(pieces)
        case .absent(let piece): return .absent(piece: piece)
        }
    }

    static func pieces(in window: Range<Int64>) -> Range<Int> {
        Int(window.lowerBound / PieceList.pieceBytes)..<Int((window.upperBound - 1) / PieceList.pieceBytes) + 1
    }

    private func markLost(_ reason: String) -> WindowState {
        let isNew = state.withLock { state in
            defer { state.isLost = true }
            return !state.isLost
        }
        if isNew {
            environment.metrics.damagedFiles.add(1)
            environment.logger.warning(
                "dropping a damaged cache file", metadata: ["blob.digest": "\(digest)", "reason": "\(reason)"])
        }
        return .lost
    }

    // MARK: Checking

    /// Reads and hashes the pieces on the disk pool, one job each; a piece that is being checked is not checked twice.
    /// Pieces that need no check any more are left out.
    ///
    /// - Parameter then: Called once, from any thread, when the first of the pieces was checked, well or not.
    /// - Returns: Whether `then` will be called. If not, the first piece needs no check: inspect again.
    /// - Throws: `.overloaded` if the pool takes no more jobs; `then` is not called.
    package func check(_ wanted: Range<Int>, then: @escaping @Sendable () -> Void) throws(CacheError) -> Bool {
        var isWaiting = false
        for piece in wanted {
            let isFirst = piece == wanted.lowerBound
            let (needsCheck, needsJob) = state.withLock { state in
                guard state.marks.present.contains(piece), !state.marks.checked.contains(piece) else {
                    return (false, false)
                }
                let isRunning = state.checks[piece] != nil
                state.checks[piece, default: []] += isFirst ? [then] : []
                return (true, !isRunning)
            }
            if isFirst { isWaiting = needsCheck }
            if needsJob && !submitCheck(of: piece) {
                // Others may have begun to wait for this piece: they ask again and meet the full queue themselves.
                let waiters = state.withLock { $0.checks.removeValue(forKey: piece) } ?? []
                for waiter in waiters.dropFirst(isFirst ? 1 : 0) { waiter() }
                if isFirst { throw CacheError(kind: .overloaded, message: "the disk pool takes no more jobs") }
            }
        }
        return isWaiting
    }

    private func submitCheck(of piece: Int) -> Bool {
        do throws(BlockingError) {
            try environment.pool.submit { [self] in
                checkNow(piece)
                let waiters = state.withLock { $0.checks.removeValue(forKey: piece) } ?? []
                for waiter in waiters { waiter() }
            }
            return true
        } catch {
            return false
        }
    }

    /// Reads one piece and returns its bytes if they are right. Blocks; for file systems that cannot tell what is in
    /// memory.
    package func readChecked(_ piece: Int) -> [UInt8]? {
        var copy: [UInt8]?
        hash(piece) { copy = Array($0) }
        return copy
    }

    /// Blocks.
    /// - Returns: Whether the piece is right.
    @discardableResult
    package func checkNow(_ piece: Int) -> Bool {
        var isRight = false
        hash(piece) { _ in isRight = true }
        return isRight
    }

    /// Reads a piece, hashes it, and keeps the marks; `body` gets the bytes if they are right.
    private func hash(_ piece: Int, ifRight body: (UnsafeRawBufferPointer) -> Void) {
        let before = state.withLock { $0.marks.foreignChangeCount }
        var content: [UInt8]?
        let matches = read(piece) { bytes in
            if sizeBytes <= Self.contentBytesMax { content = Array(bytes) }
            body(bytes)
        }
        environment.metrics.checkedPieces.add(1)
        let wasPresent = state.withLock { state in
            defer { state.marks.hashed(piece, matches: matches, since: before) }
            if let content { state.content = content }
            return state.marks.present.contains(piece)
        }
        if !matches && wasPresent { foundDamaged(piece) }
    }

    /// Reads a piece and compares it with the piece list; `body` gets the bytes if they are right.
    private func read(_ piece: Int, ifRight body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let range = pieces.range(of: piece)
        let buffer = environment.buffers.take()
        let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<Int(range.upperBound - range.lowerBound)])
        var matches = false
        do throws(DiskError) {
            let count = try file.read(into: bytes, at: range.lowerBound)
            matches = count == bytes.count && pieces.matches(UnsafeRawBufferPointer(bytes), piece: piece)
        } catch {
            environment.logger.warning(
                "a cached piece cannot be read", metadata: ["blob.digest": "\(digest)", "error": "\(error)"])
        }
        if matches { body(UnsafeRawBufferPointer(bytes)) }
        // The buffer belongs to the next user once its last reference is gone.
        withExtendedLifetime(buffer) {}
        return matches
    }

    private func foundDamaged(_ piece: Int) {
        environment.metrics.diskMismatches.add(1)
        environment.logger.warning(
            "a cached piece is damaged", metadata: ["blob.digest": "\(digest)", "blob.piece": "\(piece)"])
        writeMapByte(holding: piece)
    }

    // MARK: Scrubbing

    /// Under the lock of the table, where the caller was found to be alone with the blob. Until `scrub` is over, whoever
    /// wants the piece finds it unchecked, and waits for it as for a check.
    /// - Returns: Whether there is anything to scrub.
    func beginScrub(_ piece: Int) -> Bool {
        state.withLock { state in
            guard !state.isLost, state.marks.present.contains(piece), state.checks[piece] == nil else { return false }
            state.marks.leftMemory(piece)
            state.checks[piece] = []
            return true
        }
    }

    /// Reads a piece from the device and checks it; a wrong one is absent from then on. Its pages are dropped first, for
    /// the device may long hold other bytes than memory does, and again afterwards if they were not there before, so
    /// that a scrub does not push out what readers want. Blocks; only after `beginScrub`.
    /// - Returns: Whether the piece is right.
    func scrub(_ piece: Int) -> Bool {
        let range = pieces.range(of: piece)
        // The last piece shares its last page with the trailer.
        let dropped = range.lowerBound..<(piece == pieces.count - 1 ? fileBytes : range.upperBound)
        let wasResident = (try? file.missingPages(range)) == 0
        let before = state.withLock { $0.marks.foreignChangeCount }
        try? file.adviseDontNeed(dropped)
        let matches = read(piece) { _ in }
        let isKept = state.withLock { state in
            let isWanted = state.checks[piece]?.isEmpty == false
            if !matches || wasResident || isWanted { state.marks.hashed(piece, matches: matches, since: before) }
            return wasResident || isWanted
        }
        // Without its mark, the piece is for nobody before it is checked again; and that is not before this is over.
        if !isKept { try? file.adviseDontNeed(dropped) }
        if !matches { foundDamaged(piece) }
        let waiters = state.withLock { $0.checks.removeValue(forKey: piece) } ?? []
        for waiter in waiters { waiter() }
        return matches
    }

    // MARK: Storing

    /// Puts a piece into the file, also over a damaged one. Blocks; the disk pool.
    ///
    /// - Throws: `.outOfSpace` or `.io`; the piece is as absent as before.
    package func store(piece: Int, bytes: UnsafeRawBufferPointer) throws(CacheError) -> StoreOutcome {
        guard pieces.matches(bytes, piece: piece) else { return .mismatch }
        let (ticket, isThere, isLost) = state.withLock {
            ($0.marks.ticket, $0.marks.present.contains(piece), $0.isLost)
        }
        if isLost { return .lost }
        if isThere { return .stored }
        let range = pieces.range(of: piece)
        do throws(DiskError) {
            let status = try file.status()
            guard status.sizeBytes == fileBytes else {
                _ = markLost("size is \(status.sizeBytes)")
                return .lost
            }
            let isRepair = state.withLock { state in
                state.marks.observed(changeTime: status.changeTime, after: ticket)
                return state.isComplete
            }
            if isRepair {
                // Not announced: the write clears all marks like a foreign one, so that whoever damaged this file and is
                // still at it cannot hide behind the repair.
                try file.write(bytes, at: range.lowerBound)
            } else {
                try withOwn(.bytes) { () throws(DiskError) in try file.write(bytes, at: range.lowerBound) }
            }
        } catch {
            throw CacheError(error)
        }
        let isLast = state.withLock { state in
            state.marks.stored(piece)
            if sizeBytes <= Self.contentBytesMax { state.content = Array(bytes) }
            return state.marks.present.isFull && !state.isComplete
        }
        writeMapByte(holding: piece)
        return isLast ? .storedLast : .stored
    }

    /// Brings the map's byte up to date. A map that cannot be written costs a refetch after a restart, nothing more.
    private func writeMapByte(holding piece: Int) {
        guard let map else { return }
        var written: UInt8?
        // Another thread may change a bit of the same byte between the look and the write: whoever is last sees it.
        while true {
            let byte = state.withLock { $0.marks.present.byte(holding: piece) }
            if byte == written { return }
            let isDone: Void? = withUnsafeBytes(of: byte) { try? map.write($0, at: PartialMap.byteOffset(of: piece)) }
            guard isDone != nil else { return }
            written = byte
        }
    }

    // MARK: Committing

    private enum OwnChange {
        case bytes
        /// Moves the file's ctime and nothing else.
        case name
    }

    /// Renames the file, so that it is not taken for a foreign change.
    func withOwnRename(_ body: () throws(DiskError) -> Void) throws(DiskError) { try withOwn(.name, body) }

    /// One at a time, with a look at the file before and after: what somebody else changes in between is seen at the next
    /// one. File systems let one writer at a file at a time anyway. What nobody can tell apart are foreign bytes that
    /// arrive within one of our own writes (`Docs/threat-model.md`).
    private func withOwn(_ change: OwnChange, _ body: () throws(DiskError) -> Void) throws(DiskError) {
        let result = ownChange.withLock { _ in
            Result { () throws(DiskError) in
                let before = try file.status()
                state.withLock { $0.marks.beganWrite(changeTime: before.changeTime) }
                var after: FileStatus?
                defer {
                    let isForeign =
                        change == .name && after.map { $0.modificationTime != before.modificationTime } ?? true
                    state.withLock {
                        $0.marks.endedWrite(changeTime: after?.changeTime, sawForeignWrite: isForeign)
                    }
                }
                try body()
                after = try file.status()
            }
        }
        try result.get()
    }

    func markComplete() { state.withLock { $0.isComplete = true } }

    /// Pieces that this process has not hashed yet.
    var uncheckedPieces: [Int] {
        state.withLock { state in
            (0..<pieces.count).filter { state.marks.present.contains($0) && !state.marks.checked.contains($0) }
        }
    }
}
