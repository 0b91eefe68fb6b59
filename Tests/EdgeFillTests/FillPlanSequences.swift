// SPDX-License-Identifier: Apache-2.0

import Blocking
import EdgeCache
import EdgeFill
import Testing

/// Every sequence of events up to a length, over a blob of three pieces with two readers and two parents. After each
/// event the plan keeps its rules; after each sequence, with parents and disk honest from then on, every reader gets
/// everything or was told why not, and nothing is left behind.
@Suite("The plan of a fill, in every sequence of events")
struct FillPlanSequences {
    private enum Event {
        case ask(UInt64)
        case leave(UInt64)
        case parentsAnswer
        case parentsFail
        case arrive(fetch: Int)
        case end(fetch: Int, FillPlan.FetchFailure)
        case store(piece: Int)
        case mismatch(piece: Int)
        case passThrough(piece: Int)
        case lose(piece: Int)
        /// One of the pieces that are held could be put on disk.
        case diskIsBack
    }

    private struct World {
        static let pieceCount = 3
        static let parentCount = 2

        var plan: FillPlan
        /// What a reader wants next, until it has all or was told that it cannot.
        var wanted: [UInt64: Int] = [1: 0, 2: 2]
        var waiting: Set<UInt64> = []
        var fetches: [Int: (pieces: Range<Int>, next: Int, parent: Int)] = [:]
        var storing: [Int: (id: Int, parent: Int)] = [:]
        var onDisk: Set<Int> = []
        var inMemory: Set<Int> = []
        var isAsking = false
        var isIdle = false
        var violation: String?

        init() {
            var limits = FillPlan.Limits()
            limits.chunkPieces = 1
            limits.firstFetchCount = 2
            limits.fetchCountMax = 2
            limits.fetchCountMin = 2
            limits.attemptsMax = 2
            limits.heldPiecesMax = 2
            plan = FillPlan(present: PieceSet(pieceCount: Self.pieceCount), limits: limits)
        }

        var events: [Event] {
            var events: [Event] = []
            for reader in wanted.keys.sorted() {
                if !waiting.contains(reader) { events.append(.ask(reader)) }
                events.append(.leave(reader))
            }
            if isAsking { events += [.parentsAnswer, .parentsFail] }
            for id in fetches.keys.sorted() {
                events += [.arrive(fetch: id), .end(fetch: id, .broke), .end(fetch: id, .notFound)]
                events += [.end(fetch: id, .refused), .end(fetch: id, .lied)]
            }
            for piece in storing.keys.sorted() {
                if !plan.isDirect { events.append(.store(piece: piece)) }
                events += [.mismatch(piece: piece), .passThrough(piece: piece)]
            }
            if plan.isDirect { events.append(.diskIsBack) }
            if let piece = onDisk.min() { events.append(.lose(piece: piece)) }
            return events
        }

        mutating func happen(_ event: Event) {
            switch event {
            case .ask(let reader): ask(reader)
            case .leave(let reader):
                wanted[reader] = nil
                waiting.remove(reader)
                perform(plan.left(reader))
            case .parentsAnswer:
                isAsking = false
                perform(plan.parentsAnswered(count: Self.parentCount))
            case .parentsFail:
                isAsking = false
                perform(plan.parentsFailed(.unavailable))
            case .arrive(let id): arrive(id)
            case .end(let id, let failure):
                fetches[id] = nil
                perform(plan.ended(id, failure))
            case .store(let piece):
                storing[piece] = nil
                onDisk.insert(piece)
                perform(plan.stored(piece))
            case .mismatch(let piece):
                guard let job = storing.removeValue(forKey: piece) else { return }
                perform(plan.mismatched(piece, in: job.id, parent: job.parent))
            case .passThrough(let piece):
                storing[piece] = nil
                inMemory.insert(piece)
                perform(plan.passedThrough(piece))
            case .lose(let piece): onDisk.remove(piece)
            case .diskIsBack:
                if let piece = inMemory.min() { onDisk.insert(piece) }
                var present = PieceSet(pieceCount: Self.pieceCount)
                for piece in onDisk { present.insert(piece) }
                perform(plan.diskIsBack(present: present))
                if plan.isDirect && inMemory.isEmpty { violation = "goes on without the disk" }
            }
            if inMemory.count > 3 { violation = "\(inMemory.count) pieces are held" }
            if plan.isIdle && (!fetches.isEmpty || !storing.isEmpty || isAsking) { violation = "idle while at work" }
        }

        private mutating func arrive(_ id: Int) {
            guard var fetch = fetches[id] else { return }
            plan.arrived(fetch.next, in: id)
            storing[fetch.next] = (id, fetch.parent)
            fetch.next += 1
            fetches[id] = fetch.next < fetch.pieces.upperBound ? fetch : nil
            if fetches[id] == nil { perform(plan.ended(id, nil)) }
        }

        private mutating func ask(_ reader: UInt64) {
            guard let piece = wanted[reader] else { return }
            isIdle = false
            // As a reader does: the file first, then the plan; if the plan says that the file has it, the file again.
            if onDisk.contains(piece) { return advance(reader) }
            var (answer, actions) = plan.wants(reader, piece: piece, end: Self.pieceCount)
            perform(actions)
            if answer == .here {
                (answer, actions) = plan.wants(reader, piece: piece, end: Self.pieceCount, isLost: true)
                perform(actions)
            }
            switch answer {
            case .wait: waiting.insert(reader)
            case .held:
                if !inMemory.contains(piece) { violation = "piece \(piece) is not held" }
                advance(reader)
            case .here: violation = "piece \(piece) is nowhere"
            }
        }

        private mutating func advance(_ reader: UInt64) {
            guard let piece = wanted[reader], piece + 1 < Self.pieceCount else {
                wanted[reader] = nil
                return perform(plan.left(reader))
            }
            wanted[reader] = piece + 1
            perform(plan.moved(reader, to: piece + 1, end: Self.pieceCount))
        }

        mutating func perform(_ actions: [FillPlan.Action]) {
            var failed: [UInt64] = []
            for action in actions {
                switch action {
                case .fetch(let id, let pieces, let parent, _):
                    for piece in pieces where onDisk.contains(piece) || storing[piece] != nil {
                        violation = "piece \(piece) is fetched again"
                    }
                    for other in fetches.values where (other.next..<other.pieces.upperBound).overlaps(pieces) {
                        violation = "piece \(pieces.lowerBound) is fetched twice"
                    }
                    if wanted.isEmpty { violation = "a fetch that nobody wants" }
                    fetches[id] = (pieces, pieces.lowerBound, parent)
                    if fetches.count > 2 { violation = "\(fetches.count) fetches" }
                case .cancel(let id): fetches[id] = nil
                case .wake(let readers), .fail(let readers, _):
                    for reader in readers where waiting.remove(reader) == nil { violation = "woken without waiting" }
                    if case .fail = action { failed += readers }
                case .askParents:
                    if isAsking { violation = "asks twice" }
                    isAsking = true
                case .drop(let pieces): inMemory.subtract(pieces)
                case .idle: isIdle = true
                }
            }
            // Who fails is told so, and asks no more.
            for reader in failed {
                wanted[reader] = nil
                perform(plan.left(reader))
            }
        }

        /// Everything goes well from here on.
        mutating func settle() {
            for _ in 0..<100 {
                if isAsking {
                    happen(.parentsAnswer)
                } else if let piece = storing.keys.min() {
                    happen(plan.isDirect ? .passThrough(piece: piece) : .store(piece: piece))
                } else if let id = fetches.keys.min() {
                    happen(.arrive(fetch: id))
                } else if let reader = wanted.keys.filter({ !waiting.contains($0) }).min() {
                    happen(.ask(reader))
                } else {
                    break
                }
                if violation != nil { return }
            }
            if !wanted.isEmpty { violation = "readers are left: \(wanted), waiting: \(waiting)" }
            if !plan.isIdle || !isIdle { violation = violation ?? "not idle at the end" }
        }
    }

    #if DEBUG
        // Twenty times as slow.
        private static let (lengthMax, countMin) = (5, 1000)
    #else
        private static let (lengthMax, countMin) = (6, 10_000)
    #endif

    private func explore(_ world: World, _ path: [Event], _ count: inout Int) -> String? {
        count += 1
        var settled = world
        settled.settle()
        if let violation = settled.violation { return "\(violation) after \(path)" }
        guard path.count < Self.lengthMax else { return nil }
        for event in world.events {
            var next = world
            next.happen(event)
            if let violation = next.violation { return "\(violation) after \(path + [event])" }
            if let violation = explore(next, path + [event], &count) { return violation }
        }
        return nil
    }

    @Test("rules hold, and everybody is served in the end")
    func everySequence() async throws {
        // On a thread of its own: other tests have few to share.
        let pool = BlockingPool(name: "sequences", threadCount: 1, queueCountMax: 1)
        let (count, violation) = try await pool.run {
            var count = 0
            var world = World()
            // Nothing happens before somebody asks.
            world.happen(.ask(1))
            let violation = explore(world, [.ask(1)], &count)
            return (count, violation)
        }
        #expect(violation == nil, "in \(count) sequences: \(violation ?? "")")
        #expect(count > Self.countMin)
    }
}
