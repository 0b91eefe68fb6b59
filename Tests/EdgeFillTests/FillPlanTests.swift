// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import EdgeFill
import Testing

@Suite("The plan of a fill")
struct FillPlanTests {
    /// A plan over a cold blob of 100 pieces that knows its parents and has no reader yet.
    private func plan(pieces: Int = 100, parents: Int = 1, isDirect: Bool = false) -> PlanUnderTest {
        let plan = PlanUnderTest(PieceSet(pieceCount: pieces), isDirect: isDirect)
        _ = plan.asksForParents(999)
        _ = plan.parentsAnswered(count: parents)
        _ = plan.left(999)
        return plan
    }

    private func fetch(_ id: Int, _ pieces: Range<Int>, parent: Int = 0, attempt: Int = 0) -> FillPlan.Action {
        .fetch(id, pieces: pieces, parent: parent, attempt: attempt)
    }

    /// The pieces arrive and are stored.
    private func store(_ pieces: Range<Int>, in id: Int, of plan: PlanUnderTest) -> [FillPlan.Action] {
        var actions: [FillPlan.Action] = []
        for piece in pieces {
            plan.arrived(piece, in: id)
            actions += plan.stored(piece)
        }
        return actions
    }

    @Test("a first reader asks for parents once; then what it waits for is fetched first, then one chunk ahead")
    func first() {
        let plan = PlanUnderTest(PieceSet(pieceCount: 100))
        var (answer, actions) = plan.wants(1, piece: 0, end: 100)
        #expect(answer == .wait && actions == [.askParents])
        (answer, actions) = plan.wants(2, piece: 50, end: 100)
        #expect(answer == .wait && actions.isEmpty)
        actions = plan.parentsAnswered(count: 1)
        #expect(actions == [fetch(0, 0..<8), fetch(1, 50..<56)])
    }

    @Test("a reader in the middle that wants one piece gets the rest of its chunk, and nothing else")
    func middle() {
        let plan = plan()
        let (_, actions) = plan.wants(1, piece: 43, end: 44)
        #expect(actions == [fetch(0, 43..<48)])
        #expect(store(43..<48, in: 0, of: plan) == [.wake([1])])
        #expect(plan.ended(0, nil) == [])
    }

    @Test("read-ahead follows its reader, as many chunks past it as there may be fetches, and never past its end")
    func readAhead() {
        let plan = plan()
        var (_, actions) = plan.wants(1, piece: 0, end: 20)
        #expect(actions == [fetch(0, 0..<8), fetch(1, 8..<16)])
        actions = store(0..<8, in: 0, of: plan) + plan.ended(0, nil)
        // The reader waits for nothing, so the other fetch is speculation, of which there is one at a time.
        #expect(actions == [.wake([1])])
        actions = store(8..<16, in: 1, of: plan) + plan.ended(1, nil)
        #expect(actions == [fetch(2, 16..<24)])
        actions = store(16..<24, in: 2, of: plan) + plan.ended(2, nil)
        #expect(actions.isEmpty, "it asked for 20 pieces")

        let slow = self.plan()
        _ = slow.wants(1, piece: 0, end: 100)
        var id = 0
        while id < 20 {
            let started = store(id * 8..<min(id * 8 + 8, 100), in: id, of: slow) + slow.ended(id, nil)
            id += 1
            if !started.contains(where: { if case .fetch = $0 { true } else { false } }) && id > 1 { break }
        }
        #expect(id == 3, "its own chunk and two more")
        #expect(slow.moved(1, to: 8, end: 100) == [fetch(3, 24..<32)])
    }

    @Test("one fetch until the first piece is here, and one more for whoever would wait for read-ahead alone")
    func firstPieces() {
        let plan = PlanUnderTest(PieceSet(pieceCount: 1000), fetchCounts: (1, 4, 8))
        _ = plan.asksForParents(1)
        _ = plan.parentsAnswered(count: 1)
        #expect(plan.moved(1, to: 0, end: 100) == [fetch(0, 0..<8)])
        #expect(plan.wants(2, piece: 500, end: 504).1 == [fetch(1, 500..<504)])
        #expect(plan.wants(3, piece: 700, end: 704).1 == [])
        plan.arrived(500, in: 1)
        #expect(plan.stored(500) == [.wake([2]), fetch(2, 700..<704), fetch(3, 8..<16)])
    }

    @Test("two fetches until the first piece is here; then four, and up to eight while readers wait for the network")
    func window() {
        let plan = PlanUnderTest(PieceSet(pieceCount: 1000), fetchCounts: (2, 4, 8))
        _ = plan.wants(1, piece: 0, end: 1000)
        #expect(plan.parentsAnswered(count: 1) == [fetch(0, 0..<8), fetch(1, 8..<16)])
        plan.arrived(0, in: 0)
        #expect(plan.stored(0) == [.wake([1]), fetch(2, 16..<24)], "the fourth is kept for another reader")
        #expect(plan.wants(2, piece: 500, end: 1000).1 == [fetch(3, 500..<504)])

        // The first reader is served from disk, the second one waits for the piece after the one that it got.
        var running = [0, 1, 2, 3]
        var next = [0: 1, 1: 8, 2: 16, 3: 500]
        let ends = [0: 8, 1: 16, 2: 24, 3: 504]
        func finish(_ id: Int) -> [FillPlan.Action] {
            let actions = store((next[id] ?? 0)..<(ends[id] ?? 0), in: id, of: plan)
            running.removeAll { $0 == id }
            return actions + plan.ended(id, nil)
        }
        _ = plan.wants(1, piece: 8, end: 1000)
        next[3] = 503
        _ = store(500..<503, in: 3, of: plan)
        #expect(plan.wants(2, piece: 503, end: 1000).0 == .wait)
        var startedCount = 0
        for id in [0, 2] {
            startedCount += finish(id).count { if case .fetch = $0 { true } else { false } }
        }
        #expect(running.count + startedCount == 6, "two ended while somebody waited")
    }

    @Test("a window that nobody waits for shrinks again")
    func shrinking() {
        let plan = PlanUnderTest(PieceSet(pieceCount: 1000), fetchCounts: (2, 4, 8))
        _ = plan.wants(1, piece: 999, end: 1000)
        _ = plan.parentsAnswered(count: 1)
        // A second reader waits for the last chunk and lets the first one's fetches grow.
        _ = plan.wants(2, piece: 0, end: 992)
        var running: [Int: Range<Int>] = [:]
        var id = 0
        func note(_ actions: [FillPlan.Action]) {
            for case .fetch(let id, let pieces, _, _) in actions { running[id] = pieces }
        }
        note([fetch(0, 999..<1000), fetch(1, 0..<8)])
        for _ in 0..<12 {
            id += 1
            guard let pieces = running.removeValue(forKey: id) else { continue }
            note(store(pieces, in: id, of: plan))
            note(plan.ended(id, nil))
            note(plan.wants(2, piece: min(pieces.upperBound, 991), end: 992).1)
        }
        #expect(running.count == 8)
        // The first reader leaves, the second one finds everything from here on.
        note(plan.left(1))
        var countMax = 8
        while countMax > 4, let (id, pieces) = running.first(where: { $0.key != 0 }) {
            running[id] = nil
            note(store(pieces, in: id, of: plan))
            note(plan.ended(id, nil))
            countMax -= 1
        }
        #expect(running.count <= 8)
    }

    @Test("readers of the same piece share its fetch and are woken in order")
    func shared() {
        let plan = plan()
        _ = plan.wants(1, piece: 3, end: 8)
        for reader in 2...64 {
            let (answer, actions) = plan.wants(UInt64(reader), piece: 3, end: 8)
            #expect(answer == .wait && actions.isEmpty)
        }
        plan.arrived(3, in: 0)
        let (answer, actions) = plan.wants(65, piece: 3, end: 8)
        #expect(answer == .wait && actions.isEmpty, "on its way to the disk")
        #expect(plan.stored(3) == [.wake(Array(1...65))])
        #expect(plan.wants(66, piece: 3, end: 8).0 == .here)
    }

    @Test("a new reader's piece is fetched although another reader's read-ahead is running")
    func demandFirst() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 100)
        _ = store(0..<8, in: 0, of: plan)
        _ = plan.ended(0, nil)
        let (_, actions) = plan.wants(2, piece: 60, end: 100)
        #expect(actions == [fetch(2, 60..<64)])
    }

    @Test("a fetch stops where the next piece is on disk or under way")
    func runs() {
        var present = PieceSet(pieceCount: 32)
        present.insert(4)
        present.insert(11)
        let plan = PlanUnderTest(present)
        _ = plan.asksForParents(1)
        _ = plan.parentsAnswered(count: 1)
        #expect(plan.wants(1, piece: 2, end: 32).1 == [fetch(0, 2..<4), fetch(1, 5..<8)])
        #expect(store(2..<4, in: 0, of: plan) + plan.ended(0, nil) == [.wake([1])])
        #expect(plan.wants(2, piece: 1, end: 2).1 == [fetch(2, 1..<2)])
    }

    // MARK: Failures

    @Test("a broken fetch goes on at once where it broke, with the same parent, as long as pieces arrive")
    func broke() {
        let plan = plan(parents: 2)
        _ = plan.wants(1, piece: 0, end: 8)
        var id = 0
        for piece in 0..<7 {
            _ = store(piece..<piece + 1, in: id, of: plan)
            #expect(plan.ended(id, .broke) == [fetch(id + 1, piece + 1..<8)])
            id += 1
        }
        #expect(plan.ended(id, .broke) == [fetch(id + 1, 7..<8, parent: 1, attempt: 1)])
    }

    @Test("a parent that fails is left for the next one, and readers are given up after three failures in a row")
    func unreachable() {
        let plan = plan(parents: 2)
        _ = plan.wants(1, piece: 0, end: 8)
        _ = plan.wants(2, piece: 20, end: 21)
        #expect(plan.ended(0, .unreachable) == [fetch(2, 0..<8, parent: 1, attempt: 1)])
        #expect(plan.ended(2, .unreachable) == [fetch(3, 0..<8, parent: 0, attempt: 2)])
        #expect(plan.ended(3, .unreachable) == [.fail([1], .unavailable)], "the other reader goes on")
        #expect(plan.wants(1, piece: 0, end: 8).1 == [fetch(4, 0..<8, parent: 1)], "who asks again begins anew")
    }

    @Test("with more parents than three, each is asked once")
    func manyParents() {
        let plan = plan(parents: 5)
        _ = plan.wants(1, piece: 0, end: 8)
        for id in 0..<4 {
            #expect(plan.ended(id, .lied) == [fetch(id + 1, 0..<8, parent: id + 1, attempt: id + 1)])
        }
        #expect(plan.ended(4, .unreachable) == [.fail([1], .corrupt)])
    }

    @Test("the blob is unknown when every parent says so, and not before")
    func notFound() {
        let plan = plan(parents: 2)
        _ = plan.wants(1, piece: 0, end: 8)
        #expect(plan.ended(0, .notFound) == [fetch(1, 0..<8, parent: 1, attempt: 1)])
        #expect(plan.ended(1, .unreachable) == [fetch(2, 0..<8, parent: 1, attempt: 2)])
        #expect(plan.ended(2, .notFound) == [.fail([1], .unknownBlob)])
        let single = self.plan()
        _ = single.wants(1, piece: 0, end: 8)
        #expect(single.ended(0, .notFound) == [.fail([1], .unknownBlob)])
    }

    @Test("a wrong piece ends its fetch; the next parent is asked for it, and the right pieces stay")
    func mismatch() {
        let plan = plan(parents: 2)
        _ = plan.wants(1, piece: 0, end: 8)
        _ = store(0..<2, in: 0, of: plan)
        _ = plan.wants(1, piece: 2, end: 8)
        plan.arrived(2, in: 0)
        #expect(plan.mismatched(2, in: 0, parent: 0) == [.cancel(0), fetch(1, 2..<8, parent: 1)])
        #expect(plan.ended(0, .broke) == [], "the cancelled fetch ends without consequences")
        plan.arrived(2, in: 1)
        #expect(plan.mismatched(2, in: 1, parent: 1) == [.cancel(1), .fail([1], .corrupt)])
    }

    @Test("a refused link asks for fresh ones, and nothing is fetched meanwhile")
    func refused() {
        let plan = plan(parents: 2)
        _ = plan.wants(1, piece: 0, end: 8)
        #expect(plan.ended(0, .refused) == [.askParents])
        #expect(plan.wants(2, piece: 30, end: 31).1 == [])
        #expect(plan.parentsAnswered(count: 1) == [fetch(1, 0..<8, attempt: 1), fetch(2, 30..<32)])
        #expect(plan.ended(1, .refused) == [.askParents])
        #expect(plan.ended(2, .refused) == [])
        #expect(plan.parentsFailed(.unavailable) == [.fail([1, 2], .unavailable)])
    }

    @Test("without parents all who wait are told, and who asks later makes it ask again")
    func noParents() {
        let plan = PlanUnderTest(PieceSet(pieceCount: 8))
        _ = plan.wants(1, piece: 0, end: 8)
        _ = plan.asksForParents(2)
        #expect(plan.parentsFailed(.unknownBlob) == [.fail([1, 2], .unknownBlob)])
        #expect(plan.wants(3, piece: 0, end: 8).1 == [.askParents])
    }

    @Test("a chunk given up on is not read ahead again until somebody wants it")
    func shunned() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 16)
        for id in 1...2 { #expect(plan.ended(id, .unreachable) == [fetch(id + 1, 8..<16, attempt: id)]) }
        #expect(plan.ended(3, .unreachable) == [])
        _ = store(0..<8, in: 0, of: plan)
        #expect(plan.ended(0, nil) == [])
        #expect(plan.wants(1, piece: 8, end: 16).1 == [fetch(4, 8..<16)])
    }

    // MARK: Readers that leave

    @Test("a fill without readers finishes what is under way and starts nothing")
    func abandoned() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 100)
        #expect(plan.left(1) == [])
        #expect(plan.left(1) == [], "leaving twice is harmless")
        _ = store(0..<7, in: 0, of: plan)
        plan.arrived(7, in: 0)
        #expect(plan.ended(0, nil) == [])
        #expect(plan.ended(1, .broke) == [], "nobody needs the rest")
        #expect(!plan.isIdle)
        #expect(plan.stored(7) == [.idle])
        #expect(plan.isIdle)
    }

    @Test("a client's hang-up does not hurt who waits for the same piece")
    func survivor() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 8)
        _ = plan.wants(2, piece: 0, end: 8)
        #expect(plan.left(1) == [])
        plan.arrived(0, in: 0)
        #expect(plan.stored(0) == [.wake([2])])
    }

    @Test("a piece that the disk lost is fetched again")
    func lost() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 1)
        _ = store(0..<8, in: 0, of: plan)
        _ = plan.ended(0, nil)
        #expect(plan.wants(1, piece: 5, end: 6).0 == .here)
        let (answer, actions) = plan.wants(1, piece: 5, end: 6, isLost: true)
        #expect(answer == .wait && actions == [fetch(1, 5..<6)])
    }

    // MARK: Without a disk

    @Test("what cannot be stored is held for those who wait, in runs of four pieces and without read-ahead")
    func direct() {
        let plan = plan(isDirect: true)
        #expect(plan.wants(1, piece: 0, end: 100).1 == [fetch(0, 0..<4)])
        plan.arrived(0, in: 0)
        #expect(plan.passedThrough(0) == [.wake([1])])
        #expect(plan.wants(1, piece: 0, end: 100).0 == .held)
        for piece in 1..<4 {
            plan.arrived(piece, in: 0)
            #expect(plan.passedThrough(piece) == [])
            #expect(plan.wants(1, piece: piece, end: 100).0 == .held)
        }
        #expect(plan.ended(0, nil) == [])
        #expect(plan.wants(1, piece: 4, end: 100).1 == [fetch(1, 4..<8)])
    }

    @Test("memory is bounded: the oldest pieces that nobody is owed go, and no fetch starts without room")
    func heldMaximum() {
        let plan = plan(pieces: 1000, isDirect: true)
        var heldCount = 0
        var dropped: [Int] = []
        func perform(_ actions: [FillPlan.Action]) {
            for action in actions {
                switch action {
                case .fetch(let id, let pieces, _, _):
                    for piece in pieces {
                        plan.arrived(piece, in: id)
                        heldCount += 1
                        perform(plan.passedThrough(piece))
                        #expect(heldCount <= 16)
                    }
                    perform(plan.ended(id, nil))
                case .drop(let pieces):
                    dropped += pieces
                    heldCount -= pieces.count
                case .wake, .idle: break
                default: Issue.record("unexpected \(action)")
                }
            }
        }
        for reader in 0..<40 {
            let piece = reader * 8
            perform(plan.wants(UInt64(reader), piece: piece, end: piece + 1).1)
            // Every other reader never asks again.
            guard reader % 2 == 0, plan.holds(piece) else { continue }
            let (answer, actions) = plan.wants(UInt64(reader), piece: piece, end: piece + 1)
            #expect(answer == .held)
            perform(actions)
        }
        #expect(Set(dropped).count == dropped.count)
        for reader in 0..<40 { perform(plan.left(UInt64(reader))) }
        #expect(plan.isIdle)
    }

    @Test("a disk that fails in the middle changes the way, not the outcome")
    func becomesDirect() {
        let plan = plan()
        _ = plan.wants(1, piece: 0, end: 100)
        _ = store(0..<1, in: 0, of: plan)
        _ = plan.wants(1, piece: 1, end: 100)
        plan.arrived(1, in: 0)
        #expect(plan.passedThrough(1) == [.wake([1])])
        #expect(plan.isDirect)
        #expect(plan.wants(1, piece: 0, end: 100).0 == .here)
        #expect(plan.wants(1, piece: 1, end: 100).0 == .held)
    }

    @Test("a disk that takes pieces again takes all that is held, and read-ahead goes on")
    func diskIsBack() {
        let plan = plan(pieces: 16, isDirect: true)
        _ = plan.wants(1, piece: 0, end: 16)
        for piece in 0..<2 {
            plan.arrived(piece, in: 0)
            _ = plan.passedThrough(piece)
        }
        var present = PieceSet(pieceCount: 16)
        present.insert(0)
        #expect(plan.diskIsBack(present: present) == [.drop([0])])
        #expect(plan.isDirect, "one is still in memory only")
        present.insert(1)
        #expect(plan.diskIsBack(present: present) == [.drop([1])])
        #expect(!plan.isDirect)
        #expect(plan.wants(1, piece: 1, end: 16).0 == .here)
        #expect(plan.wants(1, piece: 2, end: 16).1 == [fetch(1, 4..<8)])
    }
}

/// A reference to a plan, so that an expectation may change it.
private final class PlanUnderTest {
    private var plan: FillPlan

    /// - Parameter fetchCounts: At first, at least, at most. Two all the time keep an expectation short.
    init(_ present: PieceSet, isDirect: Bool = false, fetchCounts: (first: Int, min: Int, max: Int) = (2, 2, 2)) {
        var limits = FillPlan.Limits()
        limits.firstFetchCount = fetchCounts.first
        limits.fetchCountMin = fetchCounts.min
        limits.fetchCountMax = fetchCounts.max
        plan = FillPlan(present: present, isDirect: isDirect, limits: limits)
    }

    var isIdle: Bool { plan.isIdle }
    var isDirect: Bool { plan.isDirect }
    func holds(_ piece: Int) -> Bool { plan.holds(piece) }
    func wants(_ id: UInt64, piece: Int, end: Int, isLost: Bool = false) -> (FillPlan.Answer, [FillPlan.Action]) {
        plan.wants(id, piece: piece, end: end, isLost: isLost)
    }
    func asksForParents(_ id: UInt64) -> (FillPlan.Answer, [FillPlan.Action]) { plan.asksForParents(id) }
    func moved(_ id: UInt64, to piece: Int, end: Int) -> [FillPlan.Action] { plan.moved(id, to: piece, end: end) }
    func left(_ id: UInt64) -> [FillPlan.Action] { plan.left(id) }
    func parentsAnswered(count: Int) -> [FillPlan.Action] {
        plan.parentsAnswered(count: count)
    }
    func parentsFailed(_ failure: BlobReader.Failure) -> [FillPlan.Action] { plan.parentsFailed(failure) }
    func arrived(_ piece: Int, in id: Int) { plan.arrived(piece, in: id) }
    func stored(_ piece: Int) -> [FillPlan.Action] { plan.stored(piece) }
    func passedThrough(_ piece: Int) -> [FillPlan.Action] { plan.passedThrough(piece) }
    func diskIsBack(present: PieceSet) -> [FillPlan.Action] { plan.diskIsBack(present: present) }
    func mismatched(_ piece: Int, in id: Int, parent: Int) -> [FillPlan.Action] {
        plan.mismatched(piece, in: id, parent: parent)
    }
    func ended(_ id: Int, _ failure: FillPlan.FetchFailure?) -> [FillPlan.Action] { plan.ended(id, failure) }
}
