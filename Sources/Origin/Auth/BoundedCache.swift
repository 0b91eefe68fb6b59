// SPDX-License-Identifier: Apache-2.0

/// A map of at most `2 × generationCountMax` entries that forgets what was not used lately.
///
/// Two generations: a look-up moves an entry into the young one; when that is full it becomes the old one, and what
/// was old is dropped. Constant time per call, no list to maintain. A pure value: no clock, no lock.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private let generationCountMax: Int

    package init(generationCountMax: Int) {
        precondition(generationCountMax > 0, "a cache without room holds nothing")
        self.generationCountMax = generationCountMax
    }

    package var count: Int { young.count + old.count }

    package mutating func value(for key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    package mutating func insert(_ value: Value, for key: Key) {
        old.removeValue(forKey: key)
        if young[key] == nil, young.count == generationCountMax {
            old = young
            young = [:]
        }
        young[key] = value
    }

    package mutating func remove(_ key: Key) {
        young.removeValue(forKey: key)
        old.removeValue(forKey: key)
    }

    package mutating func removeAll() {
        young = [:]
        old = [:]
    }
}
