// SPDX-License-Identifier: Apache-2.0

/// The origins that this edge knows, and the order in which it asks them. A pure value.
///
/// Known are the origin of the join credential, always, and what any origin named in an answer that is not yet old: a
/// dead origin's last answer fades, and one that a live origin names no more goes with it.
package struct OriginList {
    package typealias Instant = ContinuousClock.Instant

    /// More than that in one answer are left out.
    package static let countMax = 16
    package static let answerAgeMax = Duration.seconds(30)

    private struct Answer {
        let named: [OriginAddress]
        let at: Instant
    }

    private let joined: OriginAddress
    private var answers: [OriginAddress: Answer] = [:]
    /// The first is the one that worked last.
    private var order: [OriginAddress]

    package init(joined: OriginAddress) {
        self.joined = joined
        order = [joined]
    }

    /// All known origins, best first: those that answered before those that failed.
    package func ordered(at now: Instant) -> [OriginAddress] {
        let known = known(at: now)
        return order.filter(known.contains)
    }

    package func isKnown(_ origin: OriginAddress, at now: Instant) -> Bool { known(at: now).contains(origin) }

    /// An origin named those that are alive.
    /// - Returns: Origins that were not known before.
    package mutating func answered(
        _ origin: OriginAddress,
        naming named: [OriginAddress],
        at now: Instant
    ) -> [OriginAddress] {
        let before = known(at: now)
        answers[origin] = Answer(named: Array(named.prefix(Self.countMax)), at: now)
        let after = known(at: now)
        answers = answers.filter { now - $0.value.at <= Self.answerAgeMax }
        order.removeAll { !after.contains($0) }
        for new in named.prefix(Self.countMax) where after.contains(new) && !order.contains(new) { order.append(new) }
        return order.filter { !before.contains($0) }
    }

    package mutating func succeeded(_ origin: OriginAddress) {
        guard let index = order.firstIndex(of: origin) else { return }
        order.insert(order.remove(at: index), at: 0)
    }

    package mutating func failed(_ origin: OriginAddress) {
        guard let index = order.firstIndex(of: origin) else { return }
        order.append(order.remove(at: index))
    }

    private func known(at now: Instant) -> Set<OriginAddress> {
        var known: Set = [joined]
        for answer in answers.values where now - answer.at <= Self.answerAgeMax { known.formUnion(answer.named) }
        return known
    }
}
