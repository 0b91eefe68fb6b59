// SPDX-License-Identifier: Apache-2.0

import EdgeCache
import EdgeFill
import Testing

/// Random readers, parents, and disks against the plan, with what has to hold at every step.
@Suite("The plan of a fill, in simulation")
struct FillPlanSimulation {
    private struct World {
        struct Running {
            let id: Int
            let pieces: Range<Int>
            let parent: Int
            var next: Int
        }

        let pieceCount: Int
        var plan: FillPlan
        var random: Generator
        var running: [Running] = []
        var storing: [(piece: Int, id: Int, parent: Int)] = []
        var stored: Set<Int> = []
        var waiting: [UInt64: Int] = [:]
        var positions: [UInt64: Int] = [:]
        var fetchedCounts: [Int: Int] = [:]
        var failedCount = 0
        var isAsking = false
        var isIdle = false

        mutating func perform(_ actions: [FillPlan.Action]) {
            for action in actions {
                switch action {
                case .fetch(let id, let pieces, let parent, _):
                    #expect(!pieces.isEmpty && pieces.upperBound <= pieceCount)
                    #expect(pieces.lowerBound / 8 == (pieces.upperBound - 1) / 8, "within one chunk")
                    for other in running { #expect(!(other.next..<other.pieces.upperBound).overlaps(pieces)) }
                    for piece in pieces { #expect(!stored.contains(piece) && !storing.contains { $0.piece == piece }) }
                    running.append(Running(id: id, pieces: pieces, parent: parent, next: pieces.lowerBound))
                    #expect(running.count <= FillPlan.Limits().fetchCountMax)
                case .cancel(let id): running.removeAll { $0.id == id }
                case .wake(let readers): for reader in readers { #expect(waiting.removeValue(forKey: reader) != nil) }
                case .fail(let readers, _):
                    failedCount += readers.count
                    for reader in readers { #expect(waiting.removeValue(forKey: reader) != nil) }
                case .askParents:
                    #expect(!isAsking)
                    isAsking = true
                case .idle: isIdle = true
                case .drop: Issue.record("nothing is held in memory")
                }
            }
        }

        mutating func readerStep(_ id: UInt64) {
            guard waiting[id] == nil, let piece = positions[id] else { return }
            defer { if !plan.isIdle { isIdle = false } }
            if stored.contains(piece) {
                positions[id] = piece + 1 < pieceCount ? piece + 1 : nil
                perform(positions[id].map { plan.moved(id, to: $0, end: pieceCount) } ?? plan.left(id))
            } else {
                let (answer, actions) = plan.wants(id, piece: piece, end: pieceCount)
                #expect(answer == .wait)
                waiting[id] = piece
                perform(actions)
            }
        }

        mutating func parentStep(badPercent: Int) {
            if isAsking {
                isAsking = false
                perform(plan.parentsAnswered(count: 2))
                return
            }
            guard let index = running.indices.randomElement(using: &random) else { return }
            let fetch = running[index]
            if Int.random(in: 0..<100, using: &random) < badPercent {
                running.remove(at: index)
                let failures: [FillPlan.FetchFailure] = [.broke, .unreachable, .refused, .lied, .overloaded]
                perform(plan.ended(fetch.id, failures.randomElement(using: &random)))
                return
            }
            plan.arrived(fetch.next, in: fetch.id)
            storing.append((fetch.next, fetch.id, fetch.parent))
            fetchedCounts[fetch.next, default: 0] += 1
            running[index].next += 1
            if running[index].next == fetch.pieces.upperBound {
                running.remove(at: index)
                perform(plan.ended(fetch.id, nil))
            }
        }

        mutating func diskStep(badPercent: Int) {
            guard let index = storing.indices.randomElement(using: &random) else { return }
            let job = storing.remove(at: index)
            if Int.random(in: 0..<100, using: &random) < badPercent {
                perform(plan.mismatched(job.piece, in: job.id, parent: job.parent))
            } else {
                stored.insert(job.piece)
                perform(plan.stored(job.piece))
            }
        }
    }

    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    private func run(seed: UInt64, readerCount: Int, badPercent: Int, leavePercent: Int) -> World {
        var random = Generator(state: seed)
        let pieceCount = Int.random(in: 1...60, using: &random)
        var world = World(
            pieceCount: pieceCount, plan: FillPlan(present: PieceSet(pieceCount: pieceCount)), random: random)
        for reader in 0..<UInt64(readerCount) {
            world.positions[reader] = reader == 0 ? 0 : Int.random(in: 0..<pieceCount, using: &world.random)
        }
        var stepCount = 0
        while !world.positions.isEmpty && stepCount < 50_000 {
            stepCount += 1
            switch Int.random(in: 0..<4, using: &world.random) {
            case 0:
                guard let reader = world.positions.keys.sorted().randomElement(using: &world.random) else { continue }
                if Int.random(in: 0..<1000, using: &world.random) < leavePercent * 10 {
                    world.positions[reader] = nil
                    world.waiting[reader] = nil
                    world.perform(world.plan.left(reader))
                } else {
                    world.readerStep(reader)
                }
            case 1, 2: world.parentStep(badPercent: badPercent)
            default: world.diskStep(badPercent: badPercent)
            }
        }
        #expect(world.positions.isEmpty, "seed \(seed): every reader reaches its end")
        while world.isAsking || !world.running.isEmpty || !world.storing.isEmpty {
            world.parentStep(badPercent: 0)
            world.diskStep(badPercent: 0)
        }
        #expect(world.plan.isIdle && world.isIdle, "seed \(seed)")
        return world
    }

    @Test("with honest parents each piece is fetched exactly once", arguments: UInt64(0)..<60)
    func honest(seed: UInt64) {
        let world = run(seed: seed, readerCount: 1 + Int(seed % 7), badPercent: 0, leavePercent: 0)
        #expect(world.stored.count == world.pieceCount)
        #expect(world.fetchedCounts.values.allSatisfy { $0 == 1 })
        #expect(world.failedCount == 0)
    }

    @Test("readers come through failing parents, or are told, and leave nothing behind", arguments: UInt64(100)..<160)
    func failing(seed: UInt64) {
        _ = run(seed: seed, readerCount: 1 + Int(seed % 5), badPercent: 20, leavePercent: 0)
    }

    @Test("readers that leave at any moment leave nothing behind", arguments: UInt64(200)..<260)
    func leaving(seed: UInt64) {
        _ = run(seed: seed, readerCount: 1 + Int(seed % 9), badPercent: 5, leavePercent: 5)
    }
}
