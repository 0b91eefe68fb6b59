// SPDX-License-Identifier: Apache-2.0

import Glibc

/// SplitMix64: the same numbers for the same seed, everywhere.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// In 0..<1.
    package mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    package mutating func happens(_ probability: Double) -> Bool { unit() < probability }

    package mutating func below(_ end: Int) -> Int { Int(unit() * Double(end)) }

    package mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// - Parameters:
    ///   - median: In whatever the result is in.
    ///   - sigma: Of the logarithm.
    package mutating func logNormal(median: Double, sigma: Double) -> Double {
        let (radius, angle) = ((-2 * log(1 - unit())).squareRoot(), 2 * Double.pi * unit())
        return median * exp(sigma * radius * cos(angle))
    }

    /// Pareto, cut off at `max`.
    package mutating func pareto(min: Double, max: Double, exponent: Double) -> Double {
        Swift.min(max, min / pow(1 - unit(), 1 / exponent))
    }
}

/// Numbers from 0 by popularity: number n comes with a weight of (n + 1)^-exponent.
struct Zipf: Sendable {
    private let sums: [Double]

    init(count: Int, exponent: Double) {
        var sum = 0.0
        sums = (0..<count).map { number in
            sum += pow(Double(number + 1), -exponent)
            return sum
        }
    }

    func draw(_ random: inout SeededRandom) -> Int {
        let wanted = random.unit() * (sums.last ?? 0)
        var (low, high) = (0, sums.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] <= wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
