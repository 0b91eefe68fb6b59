// SPDX-License-Identifier: Apache-2.0

/// How often, and for how long. Tests use shorter ones.
package struct ControlTiming: Sendable {
    package var heartbeatInterval = Duration.seconds(2)
    /// A control connection without a line for this long is dead, whatever TCP says.
    package var silenceMax = Duration.seconds(6)
    /// How often the limits are looked at.
    package var alarmInterval = Duration.milliseconds(250)
    package var retryMin = Duration.milliseconds(200)
    package var retryMax = Duration.seconds(2)
    /// Unknown key ids may come from anybody: they make this edge ask for its keys no more often than this.
    package var unknownKeyInterval = Duration.seconds(10)
    /// For the head of every answer.
    package var answerTimeout = Duration.seconds(5)

    package init() {}
}

/// How long to wait before the next try: longer each time, and by chance, so that a thousand edges do not come back at
/// the same moment. A pure value.
package struct Backoff: Equatable {
    private let min: Duration
    private let max: Duration
    private var failureCount = 0

    package init(min: Duration, max: Duration) {
        self.min = min
        self.max = max
    }

    /// - Parameter chance: In `0..<1`.
    package mutating func failed(chance: Double) -> Duration {
        let ceiling = Swift.min(max, min * (1 << Swift.min(failureCount + 1, 16)))
        failureCount += 1
        return min + (ceiling - min) * chance
    }

    package mutating func succeeded() { failureCount = 0 }
}
