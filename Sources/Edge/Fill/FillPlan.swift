// SPDX-License-Identifier: Apache-2.0

package import EdgeCache

/// Decides what a fill fetches next, from whom, and when its readers are woken or given up. A pure value: no clock, lock
/// or I/O; `Fill` performs the actions.
///
/// What a reader waits for comes first; then read-ahead that follows live readers, at most as many chunks past each as
/// there may be fetches, and never past what it asked for. One fetch fewer than allowed reads ahead, so that a new reader
/// never waits for speculation alone. How many there may be follows the readers: one more for each that ends while
/// somebody waits, one fewer for each that ends while nobody does. A piece in flight, or on its way to the disk, is never
/// fetched twice. A run ends at the end of its chunk, and starts where the first missing piece is: that is how a broken
/// fetch resumes.
package struct FillPlan: Sendable {
    package typealias ReaderID = UInt64
    package typealias FetchID = Int

    package struct Limits: Sendable, Equatable {
        /// Pieces of a chunk, the unit of fetching: 8 MiB.
        package var chunkPieces = 8
        /// Fetches at once until the first piece has arrived: the one that is waited for gets the path for itself.
        package var firstFetchCount = 1
        /// Fetches at once while readers find what they want.
        package var fetchCountMin = 4
        /// Fetches at once while readers wait for the network.
        package var fetchCountMax = 8
        /// Failures in a row, of one chunk and without progress, before its readers are given up. With more parents than
        /// that, each is asked once.
        package var attemptsMax = 3
        /// Wrong bytes for one piece before its readers are given up, likewise.
        package var mismatchesMax = 2
        /// Pieces of one fetch when nothing can be put on disk.
        package var directPieces = 4
        /// Pieces held in memory when nothing can be put on disk, those in flight included.
        package var heldPiecesMax = 16

        package init() {}
    }

    package enum FetchFailure: Sendable, Equatable {
        /// The connection ended or stalled within the body.
        case broke
        /// No answer, or one that says "not now".
        case unreachable
        /// The parent does not accept the link (401, 403): it may have expired.
        case refused
        case notFound
        /// Another range, another size, 200 for a range: what this parent says is not to be used.
        case lied
        /// This edge has no room for another request.
        case overloaded
    }

    package enum Action: Sendable, Equatable {
        /// - attempt: 0 at once; otherwise after a pause that grows with it.
        case fetch(FetchID, pieces: Range<Int>, parent: Int, attempt: Int)
        case cancel(FetchID)
        case wake([ReaderID])
        case fail([ReaderID], BlobReader.Failure)
        case askParents
        /// Pieces that need no longer be held in memory.
        case drop([Int])
        /// Nobody reads, and nothing is under way.
        case idle
    }

    package enum Answer: Sendable, Equatable {
        case wait
        /// On disk, as far as the plan knows.
        case here
        /// In memory.
        case held
    }

    private struct Reader {
        var position: Int
        /// One past the last piece of what it asked for.
        var end: Int
        var waitsFor: Int?
        var waitsForParents = false
    }

    private struct Fetch {
        let pieces: Range<Int>
        let parent: Int
        /// The first piece that has not arrived.
        var next: Int
    }

    private struct Trouble {
        var count = 0
        var sawLie = false
        var notFoundParents: Set<Int> = []
    }

    private let pieceCount: Int
    private let limits: Limits
    private var present: PieceSet
    private var parentCount = 0
    private var preferredParent = 0
    private var isAskingParents = false
    /// Nothing can be put on disk, as far as is known: verified pieces go from memory to those who wait.
    package private(set) var isDirect: Bool
    /// Pieces in memory, oldest first, with the readers that waited for them and have not asked again.
    private var held: [(piece: Int, owed: Set<ReaderID>)] = []
    private var readers: [ReaderID: Reader] = [:]
    /// Readers that wait for a piece, in order of arrival.
    private var queue: [ReaderID] = []
    private var fetches: [FetchID: Fetch] = [:]
    /// Fetches that may run at once.
    private var window: Int
    private var hasArrivals = false
    /// A path that is too slow for two is used by one at a time.
    private var pathCountMax: Int
    private var completedCount = 0
    /// Whole fetches before a path that was too slow for so many gets one more.
    private static let completedPerStep = 4
    private var nextFetchID = 0
    /// Arrived, not yet hashed and stored.
    private var storing: Set<Int> = []
    private var troubles: [Int: Trouble] = [:]
    private var mismatches: [Int: Int] = [:]
    /// Chunks given up on that nobody waits for: not read ahead again.
    private var shunned: Set<Int> = []

    /// - Parameter isDirect: There is no file to fill.
    package init(present: PieceSet, isDirect: Bool = false, limits: Limits = Limits()) {
        pieceCount = present.pieceCount
        self.present = present
        self.isDirect = isDirect
        self.limits = limits
        window = limits.fetchCountMin
        pathCountMax = limits.fetchCountMax
    }

    package var isIdle: Bool { readers.isEmpty && fetches.isEmpty && storing.isEmpty && !isAskingParents }

    /// Whether the piece is in memory for readers to come.
    package func holds(_ piece: Int) -> Bool { held.contains { $0.piece == piece } }

    // MARK: Readers

    /// A reader cannot go on without `piece`.
    /// - Parameters:
    ///   - end: One past the last piece it will ask for.
    ///   - isLost: The plan said `.here` a moment ago, and the file did not have it.
    package mutating func wants(_ id: ReaderID, piece: Int, end: Int, isLost: Bool = false) -> (Answer, [Action]) {
        readers[id, default: Reader(position: piece, end: end)].position = piece
        readers[id]?.end = end
        if isLost { present.remove(piece) }
        if let index = held.firstIndex(where: { $0.piece == piece }) {
            held[index].owed.remove(id)
            return (.held, schedule())
        }
        if present.contains(piece) { return (.here, schedule()) }
        if readers[id]?.waitsFor == nil { queue.append(id) }
        readers[id]?.waitsFor = piece
        shunned.remove(chunk(of: piece))
        return (.wait, schedule())
    }

    /// A reader needs to know only whether any parent has the blob.
    package mutating func asksForParents(_ id: ReaderID) -> (Answer, [Action]) {
        readers[id, default: Reader(position: 0, end: 0)].waitsForParents = parentCount == 0
        return parentCount > 0 ? (.here, []) : (.wait, schedule())
    }

    /// A reader is being served from disk; read-ahead follows it.
    package mutating func moved(_ id: ReaderID, to piece: Int, end: Int) -> [Action] {
        readers[id, default: Reader(position: piece, end: end)].position = piece
        readers[id]?.end = end
        return schedule()
    }

    /// A reader that needs nothing more; it may never have asked for anything, and have been the only one.
    package mutating func left(_ id: ReaderID) -> [Action] {
        guard readers.removeValue(forKey: id) != nil else { return isIdle ? [.idle] : [] }
        queue.removeAll { $0 == id }
        for index in held.indices { held[index].owed.remove(id) }
        return schedule()
    }

    // MARK: Parents

    package mutating func parentsAnswered(count: Int) -> [Action] {
        isAskingParents = false
        parentCount = count
        // A parent that was left because it refused fresh links is not asked first again.
        preferredParent = count > 0 ? preferredParent % count : 0
        for chunk in troubles.keys { troubles[chunk]?.notFoundParents = [] }
        return wake { $0.waitsForParents } + schedule()
    }

    package mutating func parentsFailed(_ failure: BlobReader.Failure) -> [Action] {
        isAskingParents = false
        // Those of before refused their links, or there were none: whoever wants a piece makes it ask again.
        parentCount = 0
        return fail(failure) { $0.waitsFor != nil || $0.waitsForParents } + schedule()
    }

    // MARK: Fetches

    /// The piece is whole in memory and goes to be hashed and stored.
    package mutating func arrived(_ piece: Int, in id: FetchID) {
        storing.insert(piece)
        hasArrivals = true
        fetches[id]?.next = piece + 1
    }

    /// The piece matched and is on disk.
    package mutating func stored(_ piece: Int) -> [Action] {
        settled(piece)
        present.insert(piece)
        return wake { $0.waitsFor == piece } + schedule()
    }

    /// The piece matched and could not be put on disk.
    package mutating func passedThrough(_ piece: Int) -> [Action] {
        isDirect = true
        settled(piece)
        var owed: Set<ReaderID> = []
        for id in queue where readers[id]?.waitsFor == piece { owed.insert(id) }
        held.append((piece, owed))
        return wake { $0.waitsFor == piece } + shed() + schedule()
    }

    /// All that was held in memory a moment ago could be put on disk. What has passed through since then is still to be.
    /// - Parameter present: What is on disk now.
    package mutating func diskIsBack(present: PieceSet) -> [Action] {
        self.present = present
        let stored = held.map(\.piece).filter { present.contains($0) }
        held.removeAll { present.contains($0.piece) }
        isDirect = !held.isEmpty
        let woken = wake { $0.waitsFor.map { present.contains($0) } ?? false }
        return (stored.isEmpty ? [] : [.drop(stored)]) + woken + schedule()
    }

    /// The piece was dropped unhashed, since this edge has no room for the work.
    package mutating func dropped(_ piece: Int) -> [Action] {
        storing.remove(piece)
        return schedule()
    }

    /// The parent sent other bytes than the piece list names.
    package mutating func mismatched(_ piece: Int, in id: FetchID, parent: Int) -> [Action] {
        storing.remove(piece)
        avoid(parent)
        var actions: [Action] = []
        if fetches.removeValue(forKey: id) != nil { actions.append(.cancel(id)) }
        mismatches[piece, default: 0] += 1
        if mismatches[piece, default: 0] >= max(limits.mismatchesMax, parentCount) {
            mismatches[piece] = nil
            actions += giveUp(chunk(of: piece), .corrupt)
        }
        return actions + schedule()
    }

    /// The fetch is over; `failure` unless every piece arrived.
    package mutating func ended(_ id: FetchID, _ failure: FetchFailure?) -> [Action] {
        guard let fetch = fetches.removeValue(forKey: id) else { return schedule() }
        if failure == nil {
            window = min(max(window + (queue.isEmpty ? -1 : 1), limits.fetchCountMin), limits.fetchCountMax)
            completedCount += 1
            if completedCount % Self.completedPerStep == 0 {
                pathCountMax = min(pathCountMax + 1, limits.fetchCountMax)
            }
        }
        guard let failure, fetch.next < fetch.pieces.upperBound else { return schedule() }
        let chunk = chunk(of: fetch.next)
        let madeProgress = fetch.next > fetch.pieces.lowerBound
        var trouble = madeProgress ? Trouble() : troubles[chunk] ?? Trouble()
        if !madeProgress || failure != .broke { trouble.count += 1 }
        var actions: [Action] = []
        switch failure {
        case .broke:
            if !madeProgress {
                avoid(fetch.parent)
                // Each was perhaps too slow because of the others.
                pathCountMax = max(1, min(pathCountMax, fetches.count + 1) / 2)
            }
        case .unreachable: avoid(fetch.parent)
        case .overloaded: break
        case .lied:
            trouble.sawLie = true
            avoid(fetch.parent)
        case .notFound:
            trouble.notFoundParents.insert(fetch.parent)
            avoid(fetch.parent)
        case .refused:
            avoid(fetch.parent)
            if !isAskingParents {
                isAskingParents = true
                actions.append(.askParents)
            }
        }
        troubles[chunk] = trouble
        if parentCount > 0 && trouble.notFoundParents.count >= parentCount {
            actions += giveUp(chunk, .unknownBlob)
        } else if trouble.count >= max(limits.attemptsMax, parentCount) {
            actions += giveUp(chunk, trouble.sawLie ? .corrupt : .unavailable)
        }
        return actions + schedule()
    }

    // MARK: Deciding

    private mutating func schedule() -> [Action] {
        if isIdle { return [.idle] }
        guard !readers.isEmpty, !isAskingParents else { return [] }
        guard parentCount > 0 else {
            guard readers.values.contains(where: { $0.waitsFor != nil || $0.waitsForParents }) else { return [] }
            isAskingParents = true
            return [.askParents]
        }
        var actions: [Action] = []
        while let run = demandedRun() ?? readAheadRun() {
            let trouble = troubles[chunk(of: run.lowerBound)]
            let parent = parent(avoiding: trouble?.notFoundParents ?? [])
            fetches[nextFetchID] = Fetch(pieces: run, parent: parent, next: run.lowerBound)
            actions.append(.fetch(nextFetchID, pieces: run, parent: parent, attempt: trouble?.count ?? 0))
            nextFetchID += 1
        }
        return actions
    }

    private var fetchCountMax: Int { min(pathCountMax, hasArrivals ? window : limits.firstFetchCount) }

    /// Fetches of which nobody waits for a piece.
    private var speculativeCount: Int {
        let wanted = Set(queue.compactMap { readers[$0]?.waitsFor })
        return fetches.values.count { fetch in
            !wanted.contains { fetch.next <= $0 && $0 < fetch.pieces.upperBound }
        }
    }

    private func demandedRun() -> Range<Int>? {
        // Until the first piece is there, read-ahead may have the only place, and nobody waits for that.
        let others = hasArrivals ? fetches.count : fetches.count - speculativeCount
        guard others < fetchCountMax, fetches.count < pathCountMax else { return nil }
        for id in queue {
            if let piece = readers[id]?.waitsFor, needsFetch(piece), let run = run(from: piece) { return run }
        }
        return nil
    }

    private func readAheadRun() -> Range<Int>? {
        guard !isDirect, fetches.count < fetchCountMax, speculativeCount < max(1, fetchCountMax - 1) else { return nil }
        var nearest: (distance: Int, piece: Int)?
        for reader in readers.values {
            let chunkEnd = (chunk(of: reader.position) + 1 + window) * limits.chunkPieces
            let end = min(reader.end, chunkEnd, pieceCount)
            guard reader.position < end else { continue }
            let piece = (reader.position..<end).first { needsFetch($0) && !shunned.contains(chunk(of: $0)) }
            guard let piece else { continue }
            // Equal distances are told apart by the piece, so that the answer never depends on hashing.
            if nearest.map({ (piece - reader.position, piece) < $0 }) ?? true {
                nearest = (piece - reader.position, piece)
            }
        }
        return nearest.flatMap { run(from: $0.piece) }
    }

    /// From the piece to the end of its chunk, or to the first piece that needs no fetch.
    private func run(from piece: Int) -> Range<Int>? {
        var end = min((chunk(of: piece) + 1) * limits.chunkPieces, pieceCount)
        if isDirect { end = min(end, piece + min(limits.directPieces, heldRoomCount)) }
        guard piece < end else { return nil }
        return piece..<((piece..<end).first { !needsFetch($0) } ?? end)
    }

    /// Pieces that may still be fetched into memory: what nobody is owed can go.
    private var heldRoomCount: Int {
        let flyingCount = fetches.values.reduce(0) { $0 + $1.pieces.upperBound - $1.next }
        return limits.heldPiecesMax - storing.count - flyingCount - held.count { !$0.owed.isEmpty }
    }

    private func needsFetch(_ piece: Int) -> Bool {
        !present.contains(piece) && !storing.contains(piece) && !held.contains { $0.piece == piece }
            && !fetches.values.contains { $0.next <= piece && piece < $0.pieces.upperBound }
    }

    private func chunk(of piece: Int) -> Int { piece / limits.chunkPieces }

    private func parent(avoiding notFound: Set<Int>) -> Int {
        for step in 0..<parentCount {
            let parent = (preferredParent + step) % parentCount
            if !notFound.contains(parent) { return parent }
        }
        return preferredParent
    }

    private mutating func avoid(_ parent: Int) {
        if parentCount > 0 && preferredParent == parent { preferredParent = (parent + 1) % parentCount }
    }

    private mutating func settled(_ piece: Int) {
        storing.remove(piece)
        mismatches[piece] = nil
        troubles[chunk(of: piece)] = nil
    }

    private mutating func giveUp(_ chunk: Int, _ failure: BlobReader.Failure) -> [Action] {
        troubles[chunk] = nil
        shunned.insert(chunk)
        let pieces = (chunk * limits.chunkPieces)..<((chunk + 1) * limits.chunkPieces)
        return fail(failure) { reader in reader.waitsFor.map { pieces.contains($0) } ?? false }
    }

    private mutating func wake(_ isMeant: (Reader) -> Bool) -> [Action] {
        let woken = takeWaiting(isMeant)
        return woken.isEmpty ? [] : [.wake(woken)]
    }

    private mutating func fail(_ failure: BlobReader.Failure, _ isMeant: (Reader) -> Bool) -> [Action] {
        let failed = takeWaiting(isMeant)
        return failed.isEmpty ? [] : [.fail(failed, failure)]
    }

    /// In order of arrival; those who ask for parents only come last.
    private mutating func takeWaiting(_ isMeant: (Reader) -> Bool) -> [ReaderID] {
        let askers = readers.filter { $0.value.waitsForParents }.keys.sorted()
        let taken = (queue + askers).filter { id in readers[id].map(isMeant) ?? false }
        for id in taken {
            readers[id]?.waitsFor = nil
            readers[id]?.waitsForParents = false
        }
        if !taken.isEmpty { queue.removeAll { taken.contains($0) } }
        return taken
    }

    /// Lets go of the oldest pieces in memory beyond the maximum that nobody is owed.
    private mutating func shed() -> [Action] {
        var dropped: [Int] = []
        while held.count > limits.heldPiecesMax, let index = held.firstIndex(where: { $0.owed.isEmpty }) {
            dropped.append(held.remove(at: index).piece)
        }
        return dropped.isEmpty ? [] : [.drop(dropped)]
    }
}
