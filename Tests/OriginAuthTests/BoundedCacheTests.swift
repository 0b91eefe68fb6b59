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

    @Test("entries that cost unequally share the room; one that costs more than there is is not kept")
    func costs() {
        var cache = BoundedCache<Int, Int>(generationCostMax: 100) { $0 }
        for key in 0..<50 {
            cache.insert(30, for: key)
            #expect(cache.count <= 6)
        }
        cache.insert(101, for: 49)
        #expect(cache.value(for: 49) == nil, "the entry that it replaced is gone, too")
        #expect(cache.value(for: 48) == 30)
        cache.insert(90, for: 48)
        cache.insert(5, for: 48)
        for key in 100..<119 { cache.insert(5, for: key) }
        #expect(cache.value(for: 48) == 5, "a replaced entry gives its room back")
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
