// SPDX-License-Identifier: Apache-2.0

import OriginBlobStore

/// Since when files are known to belong to nothing. A pure value: the caller brings keys and time.
///
/// A file goes only after it was found without an owner at two times far apart: a push that is being committed, and a
/// database that was restored from an older backup by mistake, get their time.
struct OrphanSightings {
    /// Of one prefix; there are 256. Above it, files wait for their turn.
    private static let countMax = 10_000

    private let patience: Duration
    private var firstSeen: [UInt8: [BlobKey: ContinuousClock.Instant]] = [:]

    init(patience: Duration) { self.patience = patience }

    var count: Int { firstSeen.values.reduce(0) { $0 + $1.count } }

    /// Takes note of the orphans of one prefix, and forgets those that are none any more.
    /// - Parameter orphans: All that the prefix has now.
    /// - Returns: Those that have been orphans for long enough.
    mutating func saw(_ orphans: Set<BlobKey>, of prefix: UInt8, at now: ContinuousClock.Instant) -> [BlobKey] {
        var seen = firstSeen[prefix, default: [:]].filter { orphans.contains($0.key) }
        let due = seen.filter { now - $0.value >= patience }.map(\.key)
        for key in orphans where seen[key] == nil && seen.count < Self.countMax { seen[key] = now }
        firstSeen[prefix] = seen.isEmpty ? nil : seen
        return due
    }

    mutating func removed(_ key: BlobKey, of prefix: UInt8) { firstSeen[prefix]?[key] = nil }
}
