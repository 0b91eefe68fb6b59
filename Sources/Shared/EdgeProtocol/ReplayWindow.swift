// SPDX-License-Identifier: Apache-2.0

import Hashing

/// Remembers nonces for as long as their timestamps are acceptable. A pure value: no lock or clock inside.
///
/// Nonces lie in one set per minute of their timestamps, so that old ones leave without a search. Each edge has its own
/// bound: one that floods is refused, and takes no room from the others.
struct ReplayWindow {
    enum Outcome { case fresh, replayed, full }

    struct Nonce: Hashable {
        private let high: UInt64
        private let low: UInt64

        /// - Parameter text: 32 lower-case hexadecimal digits.
        init?(_ text: String) {
            guard text.utf8.count == RequestVerifier.nonceBytes * 2, let bytes = Hex.decode(text) else { return nil }
            high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
            low = bytes[8...].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    private let nonceCountMax: Int
    private var edges: [String: [Int64: Set<Nonce>]] = [:]

    init(nonceCountMax: Int) {
        self.nonceCountMax = nonceCountMax
    }

    /// - Precondition: `timestamp` is acceptable at `now`.
    mutating func admit(_ nonce: Nonce, from edgeID: String, sentAt timestamp: Int64, now: Int64) -> Outcome {
        let oldestMinute = (now - RequestVerifier.clockSkewSecondsMax) / 60
        var minutes = edges[edgeID, default: [:]]
        // Taken out while it changes, so that the sets are not copied.
        edges[edgeID] = nil
        defer { edges[edgeID] = minutes }
        for minute in minutes.keys where minute < oldestMinute { minutes[minute] = nil }
        let minute = timestamp / 60
        if minutes[minute]?.contains(nonce) == true { return .replayed }
        guard minutes.values.reduce(0, { $0 + $1.count }) < nonceCountMax else { return .full }
        minutes[minute, default: []].insert(nonce)
        return .fresh
    }
}
