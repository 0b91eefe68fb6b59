// SPDX-License-Identifier: Apache-2.0

import Dispatch

/// Holds a pool thread inside a job until the test lets it go.
final class Gate: Sendable {
    private let entered: AsyncStream<Void>
    private let entry: AsyncStream<Void>.Continuation
    private let release = DispatchSemaphore(value: 0)

    init() { (entered, entry) = AsyncStream.makeStream() }

    /// For the job: says that it has begun, and blocks.
    func pass() {
        entry.yield()
        release.wait()
    }

    /// For the test: returns once a job is inside.
    func waitForEntry() async {
        for await _ in entered { return }
    }

    /// Lets `count` jobs pass, now or later.
    func open(count: Int = 1) {
        for _ in 0..<count { release.signal() }
    }
}
