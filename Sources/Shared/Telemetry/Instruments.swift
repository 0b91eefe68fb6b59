// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A count that only grows. Any thread.
package final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    init() {}

    /// One atomic addition.
    /// - Parameter amount: Not negative.
    package func add(_ amount: Int = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

    package var value: Int { count.load(ordering: .relaxed) }
}

/// A number that goes up and down. Any thread.
package final class Gauge: Sendable {
    /// The bits of a `Double`, for there are no floating-point atomics.
    private let bits = Atomic<UInt64>((0.0).bitPattern)

    init() {}

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    package func set(_ value: some BinaryInteger) { set(Double(value)) }

    package func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    package func add(_ amount: some BinaryInteger) { add(Double(amount)) }
    package func subtract(_ amount: some BinaryInteger) { add(-Double(amount)) }

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Counts observations by size. Any thread. Buckets are fixed when it is made.
package final class Histogram: Sendable {
    /// Seconds from half a millisecond to a minute: requests, queries, disk calls.
    package static let secondsBuckets: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// Bytes from 1 KiB to 64 GiB, by factors of four.
    package static let bytesBuckets: [Double] = (0...13).map { Double(1 << (10 + 2 * $0)) }

    /// Upper bounds, inclusive, ascending; above the last lies the bucket without a bound.
    let bounds: [Double]
    private let counters: [Counter]
    private let total = Gauge()

    /// - Precondition: `bounds` is not empty and ascends.
    init(bounds: [Double]) {
        precondition(!bounds.isEmpty && zip(bounds, bounds.dropFirst()).allSatisfy(<), "bucket bounds ascend")
        self.bounds = bounds
        counters = (0...bounds.count).map { _ in Counter() }
    }

    package func observe(_ value: Double) {
        counters[bounds.firstIndex { value <= $0 } ?? bounds.count].add()
        total.add(value)
    }

    /// In seconds.
    package func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    /// Observations per bucket, the unbounded one last; not cumulative.
    package var counts: [Int] { counters.map(\.value) }
    package var sum: Double { total.value }
}
