// SPDX-License-Identifier: Apache-2.0

/// How far this machine's clock is from an origin's, from heartbeats. A pure value.
///
/// An answer's time lies somewhere in the round trip, so the shortest round trip of the last few tells the most.
package struct ClockOffset {
    private struct Sample {
        /// Origin minus edge.
        let offset: Duration
        let roundTrip: Duration
    }

    package static let sampleCountMax = 8

    private var samples: [Sample] = []

    package init() {}

    /// Origin minus edge; `nil` before the first answer.
    package var offset: Duration? { samples.min { $0.roundTrip < $1.roundTrip }?.offset }

    /// - Parameters:
    ///   - sentUnixMilliseconds: This machine's clock when the request went out.
    ///   - roundTrip: By a clock that is never set.
    package mutating func heard(originUnixMilliseconds: Int64, sentUnixMilliseconds: Int64, roundTrip: Duration) {
        let (difference, overflow) = originUnixMilliseconds.subtractingReportingOverflow(sentUnixMilliseconds)
        // Far beyond any clock, an answer says nothing about this one, and `Duration` would trap.
        guard !overflow, abs(difference) < Int64(Int32.max) * 1000 else { return }
        if samples.count == Self.sampleCountMax { samples.removeFirst() }
        samples.append(Sample(offset: .milliseconds(difference) - roundTrip / 2, roundTrip: roundTrip))
    }
}
