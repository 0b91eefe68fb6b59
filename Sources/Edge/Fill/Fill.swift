// SPDX-License-Identifier: Apache-2.0

import Blocking
import EdgeCache
import EdgeControl
import Hashing
import Logging
import OCI
import Synchronization
import Telemetry

/// Brings one blob from its parents, for all readers that want it. One per digest at a time; it ends some time after its
/// last reader left and its last fetch ended.
///
/// `FillPlan` decides under the lock; the actions it returns are performed after the lock is released, on whatever
/// thread the event came from, and never block: requests go to the fetcher, hashing and writing to the disk pool.
final class Fill: Sendable {
    typealias ReaderID = FillPlan.ReaderID
    typealias Wake = @Sendable () -> Void

    enum Answer: Sendable {
        /// The wake-up will be called.
        case wait
        /// On disk, as far as the fill knows.
        case here
        /// The whole piece.
        case bytes([UInt8])
        case failed(BlobReader.Failure)
        /// This fill is over; another one has to be begun.
        case ended
    }

    private struct State {
        var plan: FillPlan
        var blob: CachedBlob?
        var list: PieceList?
        var urls: [String] = []
        var target: String
        var wakes: [ReaderID: Wake] = [:]
        var failures: [ReaderID: BlobReader.Failure] = [:]
        var held: [Int: [UInt8]] = [:]
        var fetches: [FillPlan.FetchID: ChunkFetch] = [:]
        var hasEnded = false
        /// Moves when the fill becomes idle: a timer that finds it moved waits once more.
        var idleCount = 0
        var hasTimer = false
        /// Whether the log says that the disk takes no blob.
        var isRefusalKnown = false
        /// Whether what passes through is offered to the disk again after a while.
        var isOfferingToDisk = false
    }

    let name: BlobName
    private let engine: FillEngine
    private let mayCreate: Bool
    private let state: Mutex<State>
    /// While the first piece is hashed and stored, what comes after it waits: the processors are for the reader's first
    /// byte.
    private let opening = StoreGate(insideCountMax: 1)
    /// Held while the file is made; `state` is taken inside of it, never the other way round.
    private let making = Mutex<Void>(())

    /// - Parameters:
    ///   - blob: The partial or damaged blob to fill, pinned for this fill; `nil` if there is none yet.
    ///   - mayCreate: Whether a file may be made if there is none; the disk is out of order otherwise.
    init(name: BlobName, blob: CachedBlob?, mayCreate: Bool, target: String, engine: FillEngine) {
        self.name = name
        self.engine = engine
        self.mayCreate = mayCreate
        let present = blob?.present ?? PieceSet(pieceCount: PieceList.count(forBlobOf: name.sizeBytes))
        let plan = FillPlan(present: present, isDirect: blob == nil && !mayCreate, limits: engine.limits)
        state = Mutex(State(plan: plan, blob: blob, list: blob?.pieces, target: target))
    }

    deinit {
        if let blob = state.withLock({ $0.blob }) { engine.cache.release(blob) }
    }

    /// The blob's file, once there is one.
    var blob: CachedBlob? { state.withLock { $0.blob } }

    /// Whether this fill takes no readers any more.
    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    // MARK: Readers

    /// The reader cannot go on without `piece`.
    func wants(_ id: ReaderID, piece: Int, end: Int, isLost: Bool, target: String, wake: @escaping Wake) -> Answer {
        let (answer, actions): (Answer, [FillPlan.Action]) = state.withLock { state in
            if state.hasEnded { return (.ended, []) }
            if let failure = state.failures.removeValue(forKey: id) { return (.failed(failure), []) }
            state.target = target
            let (answer, actions) = state.plan.wants(id, piece: piece, end: end, isLost: isLost)
            switch answer {
            case .here: return (.here, actions)
            case .held: return (state.held[piece].map { .bytes($0) } ?? .here, actions)
            case .wait:
                state.wakes[id] = wake
                return (.wait, actions)
            }
        }
        perform(actions)
        return answer
    }

    /// The reader asks only whether there is a parent that has the blob.
    func asksForParents(_ id: ReaderID, target: String, wake: @escaping Wake) -> Answer {
        let (answer, actions): (Answer, [FillPlan.Action]) = state.withLock { state in
            if state.hasEnded { return (.ended, []) }
            if let failure = state.failures.removeValue(forKey: id) { return (.failed(failure), []) }
            state.target = target
            let (answer, actions) = state.plan.asksForParents(id)
            guard answer == .wait else { return (.here, actions) }
            state.wakes[id] = wake
            return (.wait, actions)
        }
        perform(actions)
        return answer
    }

    /// The reader is being served from disk.
    func moved(_ id: ReaderID, to piece: Int, end: Int) { decide { $0.moved(id, to: piece, end: end) } }

    func left(_ id: ReaderID) {
        let (wake, actions) = state.withLock { state in
            state.failures[id] = nil
            // The closure may hold the last reference to much: it goes outside of the lock.
            return (state.wakes.removeValue(forKey: id), state.hasEnded ? [] : state.plan.left(id))
        }
        withExtendedLifetime(wake) {}
        perform(actions)
    }

    /// The file is lost: all readers begin anew, and so does the next fill.
    func abandon() {
        let (wakes, fetches) = state.withLock { state in
            state.hasEnded = true
            defer {
                state.wakes = [:]
                state.fetches = [:]
            }
            return (Array(state.wakes.values), Array(state.fetches.values))
        }
        engine.ended(self)
        for fetch in fetches { fetch.cancel() }
        for wake in wakes { wake() }
    }

    // MARK: Events of fetches

    /// - Parameter notify: Called once after a refusal, when asking again is worthwhile.
    func enterStore(orNotify notify: @escaping Wake) -> Bool {
        guard opening.enter(orNotify: notify) else { return false }
        let isIn = engine.storeGate.enter(orNotify: notify)
        if !isIn { opening.left() }
        return isIn
    }

    private func leftStore() {
        engine.storeGate.left()
        opening.lift()
        opening.left()
    }

    func received(_ byteCount: Int, from fetch: ChunkFetch) {
        engine.metrics.receivedBytes(from: fetch.url).add(byteCount)
    }

    /// A piece is whole in memory; hashes and stores it on the disk pool. The place in the store gate is given back.
    func arrived(_ piece: Int, in fetch: ChunkFetch, _ buffer: PieceBuffer, byteCount: Int) {
        state.withLock { $0.plan.arrived(piece, in: fetch.id) }
        do throws(BlockingError) {
            try engine.pool.submit { [self] in
                store(piece, in: fetch, UnsafeRawBufferPointer(rebasing: buffer.bytes[..<byteCount]))
                withExtendedLifetime(buffer) {}
                leftStore()
            }
        } catch {
            leftStore()
            decide { $0.dropped(piece) }
        }
    }

    /// Disk pool.
    private func store(_ piece: Int, in fetch: ChunkFetch, _ bytes: UnsafeRawBufferPointer) {
        let (list, isDirect, hasEnded) = state.withLock { ($0.list, $0.plan.isDirect, $0.hasEnded) }
        guard !hasEnded else { return }
        if !isDirect, let file = fileToFill() {
            do throws(CacheError) {
                switch try engine.cache.store(file, piece: piece, bytes: bytes) {
                case .stored: decide { $0.stored(piece) }
                case .storedLast:
                    decide { $0.stored(piece) }
                    engine.cache.commitLater(file)
                case .mismatch: mismatched(piece, in: fetch)
                case .lost: lost(file)
                }
                return
            } catch {
                engine.logger.warning(
                    "the disk takes no pieces; passing the blob through",
                    metadata: ["blob.digest": "\(name.digest)", "error": "\(error)"])
            }
        }
        // A disk without room refuses a piece before anybody has hashed it.
        guard list?.matches(bytes, piece: piece) == true else {
            mismatched(piece, in: fetch)
            return
        }
        engine.metrics.passedThroughPieces.add(1)
        let copy = Array(bytes)
        perform(
            state.withLock { state in
                state.held[piece] = copy
                return state.plan.passedThrough(piece)
            })
        offerToDiskLater()
    }

    private func mismatched(_ piece: Int, in fetch: ChunkFetch) {
        engine.metrics.parentMismatches.add(1)
        engine.logger.warning(
            "a parent sent wrong bytes",
            metadata: [
                "blob.digest": "\(name.digest)", "blob.piece": "\(piece)", "parent": "\(engine.host(of: fetch.url))",
            ])
        decide { $0.mismatched(piece, in: fetch.id, parent: fetch.parent) }
    }

    private func lost(_ blob: CachedBlob) {
        engine.cache.discard(blob)
        abandon()
    }

    func ended(_ fetch: ChunkFetch, _ failure: FillPlan.FetchFailure?) {
        engine.fetchGate.ended()
        if let failure {
            engine.metrics.failedFetches.add(1)
            engine.logger.info(
                "a fetch from a parent did not end well",
                metadata: [
                    "blob.digest": "\(name.digest)", "parent": "\(engine.host(of: fetch.url))", "reason": "\(failure)",
                ])
        }
        state.withLock { $0.fetches[fetch.id] = nil }
        decide { $0.ended(fetch.id, failure) }
    }

    // MARK: Actions

    /// Tells the plan of an event and performs what follows. A fill that has ended decides nothing any more.
    private func decide(_ event: (inout FillPlan) -> [FillPlan.Action]) {
        perform(state.withLock { $0.hasEnded ? [] : event(&$0.plan) })
    }

    private func perform(_ actions: [FillPlan.Action]) {
        for action in actions {
            switch action {
            case .fetch(let id, let pieces, let parent, let attempt): fetch(id, pieces, parent, attempt)
            case .cancel(let id): state.withLock { $0.fetches.removeValue(forKey: id) }?.cancel()
            case .wake(let readers): wake(readers)
            case .fail(let readers, let failure):
                state.withLock { state in for reader in readers { state.failures[reader] = failure } }
                wake(readers)
            case .askParents: askParents()
            case .drop(let pieces):
                state.withLock { state in
                    // One of them may have arrived again since the plan let go of it.
                    for piece in pieces where !state.plan.holds(piece) { state.held[piece] = nil }
                }
            case .idle: becameIdle()
            }
        }
    }

    private func wake(_ readers: [ReaderID]) {
        let wakes = state.withLock { state in readers.compactMap { state.wakes.removeValue(forKey: $0) } }
        for wake in wakes { wake() }
    }

    private func fetch(_ id: FillPlan.FetchID, _ pieces: Range<Int>, _ parent: Int, _ attempt: Int) {
        let fetch: ChunkFetch? = state.withLock { state in
            guard !state.hasEnded, state.urls.indices.contains(parent), let list = state.list else { return nil }
            let fetch = ChunkFetch(
                id: id, pieces: pieces, parent: parent, url: state.urls[parent], list: list, fill: self,
                buffers: engine.cache.buffers)
            state.fetches[id] = fetch
            return fetch
        }
        // An ended fill has no readers left that could miss the fetch.
        guard let fetch else { return }
        let start: @Sendable () -> Void = { [engine] in
            engine.fetchGate.run {
                engine.metrics.fetches.add(1)
                fetch.start(with: engine.fetcher)
            }
        }
        if attempt == 0 { start() } else { engine.timing.after(engine.timing.pause(beforeAttempt: attempt), start) }
    }

    /// A blob that is complete needs no fill: its readers find the file. One that is not keeps its fill, with the parents
    /// it knows, for clients that come right back for the next chunk. One timer at a time: they may come a thousand times
    /// a second.
    private func becameIdle() {
        let (isOver, needsTimer) = state.withLock { state in
            guard state.plan.isIdle, !state.hasEnded else { return (false, false) }
            state.idleCount += 1
            state.hasEnded = state.blob?.isComplete ?? false
            defer { state.hasTimer = true }
            return (state.hasEnded, !state.hasTimer)
        }
        if isOver { engine.ended(self) } else if needsTimer { waitForReaders() }
    }

    private func waitForReaders() {
        let idleCount = state.withLock { $0.idleCount }
        engine.timing.after(engine.timing.grace) { [self] in
            let (isOver, isIdleAgain) = state.withLock { state in
                guard state.plan.isIdle, !state.hasEnded else {
                    state.hasTimer = false
                    return (false, false)
                }
                state.hasEnded = state.idleCount == idleCount
                return (state.hasEnded, !state.hasEnded)
            }
            if isOver { engine.ended(self) } else if isIdleAgain { waitForReaders() }
        }
    }

    // MARK: A disk that takes nothing

    /// One timer at a time.
    private func offerToDiskLater() {
        let isFirst = state.withLock { state in
            defer { state.isOfferingToDisk = true }
            return !state.isOfferingToDisk
        }
        if isFirst { waitForDisk() }
    }

    private func waitForDisk() {
        engine.timing.after(engine.timing.diskPause) { [self] in
            let isWanted = state.withLock { state in
                state.isOfferingToDisk = !state.hasEnded && state.plan.isDirect
                return state.isOfferingToDisk
            }
            guard isWanted else { return }
            do throws(BlockingError) {
                try engine.pool.submit { [self] in
                    offerToDisk()
                    waitForDisk()
                }
            } catch {
                waitForDisk()
            }
        }
    }

    /// Disk pool. Puts what is held in memory into the file, which is made if there is none, since somebody may have made
    /// room meanwhile.
    private func offerToDisk() {
        guard let file = fileToFill() else { return }
        for (piece, bytes) in state.withLock({ $0.held }) {
            let outcome = bytes.withUnsafeBytes { try? engine.cache.store(file, piece: piece, bytes: $0) }
            switch outcome {
            case .stored, .storedLast: break
            case .lost:
                lost(file)
                return
            case .mismatch, nil: return
            }
        }
        decide { $0.diskIsBack(present: file.present) }
        // The last piece may have come at an earlier offer that failed later on.
        if file.present.isFull { engine.cache.commitLater(file) }
    }

    /// Disk pool. Made by whoever comes first; the others wait for that.
    /// - Returns: `nil` if the disk takes no blob, or the fill is over without one.
    private func fileToFill() -> CachedBlob? {
        let (file, isNew) = making.withLock { _ in
            let (file, list, hasEnded) = state.withLock { ($0.blob, $0.list, $0.hasEnded) }
            guard file == nil, mayCreate, !hasEnded, let list else { return (file, false) }
            do throws(CacheError) {
                let created = try engine.cache.create(name.digest, sizeBytes: name.sizeBytes, pieces: list)
                state.withLock { $0.blob = created }
                return (created, true)
            } catch {
                // Asked again for each piece, and every second.
                let isKnown = state.withLock { state in
                    defer { state.isRefusalKnown = true }
                    return state.isRefusalKnown
                }
                engine.logger.log(
                    level: isKnown ? .debug : .warning, "the disk takes no blob; passing it through",
                    metadata: ["blob.digest": "\(name.digest)", "error": "\(error)"])
                return (nil, false)
            }
        }
        // Another fill had made it, and stored pieces that this one need not fetch.
        if isNew, let file, file.present.count > 0 { decide { $0.diskIsBack(present: file.present) } }
        return file
    }

    // MARK: Parents

    private func askParents() {
        let (target, knownList) = state.withLock { ($0.target, $0.list) }
        Task { [self] in
            do {
                async let answer = engine.parents.parents(forLink: target)
                let list: PieceList
                if let knownList {
                    list = knownList
                } else {
                    list = try await engine.parents.pieceList(of: name.digest, sizeBytes: name.sizeBytes)
                }
                try begin(await answer, list)
            } catch {
                engine.logger.info(
                    "no parents for a blob", metadata: ["blob.digest": "\(name.digest)", "error": "\(error)"])
                let failure: BlobReader.Failure =
                    error as? ParentDirectoryError == .notFound ? .unknownBlob : .unavailable
                decide { $0.parentsFailed(failure) }
            }
        }
    }

    private func begin(_ answer: FillParents, _ list: PieceList) throws {
        guard answer.sizeBytes == name.sizeBytes, list.blobSizeBytes == name.sizeBytes, !answer.urls.isEmpty else {
            throw ParentDirectoryError.unavailable("the origin's size is not the one in its link")
        }
        let (actions, hasFile) = state.withLock { state in
            state.urls = answer.urls
            state.list = list
            return (state.plan.parentsAnswered(count: answer.urls.count), state.blob != nil)
        }
        perform(actions)
        // While the first piece is on its way; if the pool is full, whoever stores it makes the file.
        if !hasFile { try? engine.pool.submit { [self] in _ = fileToFill() } }
    }
}
