// SPDX-License-Identifier: Apache-2.0

/// The pauses of fills. Injected, so that tests decide when time passes.
package struct FillTiming: Sendable {
    /// A fill that nobody reads stays this long, with its parents: clients that fetch in chunks come right back.
    package var grace: Duration = .seconds(2)
    /// While the disk takes nothing, what passes through is offered to it again this often.
    package var diskPause: Duration = .seconds(1)
    /// Calls the closure once, after the duration, from any thread.
    package var after: @Sendable (Duration, @escaping @Sendable () -> Void) -> Void = { duration, body in
        Task {
            try? await Task.sleep(for: duration)
            body()
        }
    }

    package init() {}

    /// Before the nth try of a chunk: grows fourfold, and differs between edges that lost the same parent at once.
    func pause(beforeAttempt attempt: Int) -> Duration {
        guard attempt > 0 else { return .zero }
        let base = 50 << (2 * min(attempt - 1, 4))
        return .milliseconds(Int.random(in: base / 2...base))
    }
}
