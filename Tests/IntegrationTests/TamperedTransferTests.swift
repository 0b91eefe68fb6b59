// SPDX-License-Identifier: Apache-2.0

import StackSupport
import Testing

extension Integration {
    /// A byte that changes on the way from the origin to an edge reaches no client.
    @Suite("Tampering between origin and edge")
    struct TamperedTransfer {
        @Test("a byte that changes once is fetched again, one that changes always ends the stream before it")
        func tamperedBytes() async throws {
            let proxy = try TamperingProxy()
            try await withEdge(behind: proxy) { system in
                let repository = system.repository("tampered")
                for changed in [16, 5_000_000, 20 * .mebibyte + 500] {
                    let marker = changed - 16..<changed  // In the same piece, so that no fetch begins between the two.

                    let once = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte + 1000)
                    proxy.tamper(after: Array(once.bytes[marker]), count: 1)
                    let healed = try await repository.link(to: once).get(isKept: false)
                    #expect(proxy.tamperedCount == 1)
                    #expect(healed.ending == .complete)
                    #expect(healed.digest == once.digest)

                    let always = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte + 1000)
                    let link = try await repository.link(to: always)
                    proxy.tamper(after: Array(always.bytes[marker]), count: .max)
                    let broken = try await link.get()
                    #expect(proxy.tamperedCount > 0)
                    if broken.status == 200 {
                        #expect(broken.ending == .fin)
                        #expect(broken.bodyBytes <= changed / .mebibyte * .mebibyte)
                        #expect(always.contains(broken.body))
                    } else {
                        #expect((500..<600).contains(broken.status))
                    }
                    proxy.tamper(after: [], count: 0)
                    #expect(try await link.get(isKept: false).digest == always.digest, "and nothing of it was kept")
                }
            }
        }
    }
}
