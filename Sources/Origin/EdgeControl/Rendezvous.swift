// SPDX-License-Identifier: Apache-2.0

import Glibc
package import OCI

/// Weighted rendezvous hashing: each digest has one order of all edges, whichever of them are there. An edge that
/// goes takes only its own digests with it, and its share follows its weight (Thaler and Ravishankar 1998; the
/// logarithmic weighting is Schindelhauer and Schomaker 2005).
package enum Rendezvous {
    /// A participant: a number made once of its id, and its share.
    package struct Node: Sendable, Hashable {
        let seed: UInt64
        let weight: Double

        package init(id: String, weight: Double) {
            // FNV-1a: any function will do that spreads ids; all origins must use the same.
            seed = id.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
            self.weight = weight
        }

        /// Higher wins. `point` is uniform, so the score is distributed such that the highest is this node's with
        /// probability weight / sum of weights.
        func score(for point: UInt64) -> Double {
            let mixed = Rendezvous.mix(seed ^ point)
            // 52 bits and a half: exactly representable, and the logarithm is of neither 0 nor 1.
            let uniform = (Double(mixed >> 12) + 0.5) * 0x1p-52
            return -weight / log(uniform)
        }
    }

    /// The place of a digest: its own first bytes are already uniform.
    package static func point(of digest: Digest) -> UInt64 {
        digest.bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The index of the node with the highest score; `nil` of none.
    package static func first(of nodes: some Collection<Node>, for digest: Digest) -> Int? {
        let point = point(of: digest)
        return nodes.enumerated().max { $0.element.score(for: point) < $1.element.score(for: point) }?.offset
    }

    /// Share of an edge by the size of its cache: the power of two below it in GiB, so that small changes of a
    /// reported capacity move no digests.
    package static func weight(capacityBytes: Int64) -> Double {
        let gibibytes = UInt64(clamping: capacityBytes) >> 30
        return gibibytes == 0 ? 1 : Double(1 << (63 - UInt64(gibibytes.leadingZeroBitCount)))
    }

    /// The finalizer of SplitMix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
