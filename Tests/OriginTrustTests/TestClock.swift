// SPDX-License-Identifier: Apache-2.0

import OriginTrust
import Synchronization

/// A clock that stands still until a test moves it.
final class TestClock: Sendable {
    static let startUnixSeconds = goodClaimsUnixSeconds

    private struct State {
        var elapsed = Duration.zero
        var readCount = 0
    }

    private let start = ContinuousClock.now
    private let state = Mutex(State())

    func advance(_ duration: Duration) { state.withLock { $0.elapsed += duration } }

    /// How often the instant was asked for: once by each caller who needs keys.
    var readCount: Int { state.withLock { $0.readCount } }

    var trustClock: TrustVerifier.Clock {
        TrustVerifier.Clock(
            unixSeconds: { Self.startUnixSeconds + self.state.withLock { $0.elapsed.components.seconds } },
            now: {
                self.state.withLock { state in
                    state.readCount += 1
                    return self.start + state.elapsed
                }
            })
    }
}
