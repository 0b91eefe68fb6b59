// SPDX-License-Identifier: Apache-2.0

import OriginRegistryAPI
import Synchronization
import Testing

@Suite struct TurnstileTests {
    private final class Gauge: Sendable {
        let counts = Mutex((now: 0, most: 0))
    }

    @Test("no more than the number pass at a time, all that fit in line do in the end, and the others are refused")
    func bounds() async {
        let turnstile = Turnstile(passingCountMax: 2, waitingCountMax: 5)
        let gauge = Gauge()
        let (release, releaseContinuation) = AsyncStream.makeStream(of: Void.self)
        let passedCount = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    await turnstile.pass {
                        gauge.counts.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                        for await _ in release {}
                        gauge.counts.withLock { $0.now -= 1 }
                    } != nil
                }
            }
            // Refusals come at once: 13 of them, whoever was first. Then the line moves.
            for _ in 0..<13 { #expect(await group.next() == false) }
            releaseContinuation.finish()
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(passedCount == 7)
        #expect(gauge.counts.withLock { $0.most } <= 2)
        #expect(await turnstile.pass { true } == true)
    }
}
