// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI
import OriginEdgeControl
import Testing

@Suite("Weighted rendezvous")
struct RendezvousTests {
    static let digests = (0..<4000).map { SHA256.hash(Array("blob \($0)".utf8)) }

    static func owners(_ ids: [String], weights: [Double]? = nil) -> [String] {
        let nodes = ids.enumerated().map { Rendezvous.Node(id: $1, weight: weights?[$0] ?? 1) }
        return digests.compactMap { digest in Rendezvous.first(of: nodes, for: digest).map { ids[$0] } }
    }

    @Test("each digest has one edge, whatever order the edges come in")
    func order() {
        #expect(Self.owners(["a", "b", "c"]) == Self.owners(["c", "a", "b"]))
    }

    @Test("an edge that goes moves only its own digests")
    func removal() {
        let before = Self.owners(["a", "b", "c"])
        let after = Self.owners(["a", "c"])
        #expect(zip(before, after).allSatisfy { $0 == $1 || $0 == "b" })
    }

    @Test("shares follow weights")
    func shares() {
        let owners = Self.owners(["a", "b", "c"], weights: [1, 1, 2])
        let share = { (id: String) in Double(owners.count { $0 == id }) / Double(owners.count) }
        #expect(abs(share("a") - 0.25) < 0.03)
        #expect(abs(share("c") - 0.5) < 0.03)
    }

    @Test("nobody is chosen of nobody")
    func none() {
        #expect(Rendezvous.first(of: [Rendezvous.Node](), for: Self.digests[0]) == nil)
    }

    @Test(
        "the weight is the power of two of the capacity in GiB",
        arguments: [(-1, 1), (0, 1), (1 << 30, 1), (3 << 30, 2), (1 << 40, 1024), (Int64.max, 4_294_967_296)]
            as [(Int64, Double)])
    func weight(capacityBytes: Int64, weight: Double) {
        #expect(Rendezvous.weight(capacityBytes: capacityBytes) == weight)
    }
}
