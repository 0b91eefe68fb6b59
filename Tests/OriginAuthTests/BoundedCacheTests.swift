// SPDX-License-Identifier: Apache-2.0

import OriginAuth
import Testing

@Suite("Bounded cache")
struct BoundedCacheTests {
    @Test("it never holds more than two generations, and keeps what is used")
    func bound() {
        var cache = BoundedCache<Int, Int>(generationCountMax: 10)
        cache.insert(-1, for: -1)
        for key in 0..<1000 {
            cache.insert(key, for: key)
            #expect(cache.value(for: -1) == -1)
            #expect(cache.count <= 20)
        }
        #expect(cache.value(for: 0) == nil)
        #expect(cache.value(for: 999) == 999)
    }

    @Test("what was replaced or taken out is gone from both generations")
    func replaced() {
        var cache = BoundedCache<Int, Int>(generationCountMax: 1)
        cache.insert(1, for: 1)
        cache.insert(2, for: 2)
        cache.insert(10, for: 1)
        #expect(cache.value(for: 1) == 10)
        cache.remove(1)
        #expect(cache.value(for: 1) == nil)
        cache.removeAll()
        #expect(cache.count == 0)
    }
}
