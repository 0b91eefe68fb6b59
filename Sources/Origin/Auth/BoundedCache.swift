// SPDX-License-Identifier: Apache-2.0

/// A map that holds at most two generations and forgets what was not used lately.
///
/// A look-up moves an entry into the young generation; when that is full it becomes the old one, and what was old is
/// dropped. Constant time per call, no list to maintain. A pure value: no clock, no lock.
package struct BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private var youngCost = 0
    private let generationCostMax: Int
    private let cost: @Sendable (Value) -> Int

    /// - Parameter generationCountMax: Entries of one generation.
    package init(generationCountMax: Int) {
        self.init(generationCostMax: generationCountMax) { _ in 1 }
    }

    /// - Parameters:
    ///   - generationCostMax: What the entries of one generation may cost together.
    ///   - cost: Positive. An entry that costs more than a generation may is not kept.
    package init(generationCostMax: Int, cost: @escaping @Sendable (Value) -> Int) {
        precondition(generationCostMax > 0, "a cache without room holds nothing")
        self.generationCostMax = generationCostMax
        self.cost = cost
    }

    package var count: Int { young.count + old.count }

    package mutating func value(for key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    package mutating func insert(_ value: Value, for key: Key) {
        remove(key)
        let added = cost(value)
        guard added <= generationCostMax else { return }
        if youngCost > generationCostMax - added {
            old = young
            young = [:]
            youngCost = 0
        }
        young[key] = value
        youngCost += added
    }

    /// Changes a value where it is, or one that is made for the key. Its cost stays the same.
    package mutating func update<Result>(
        _ key: Key, default make: @autoclosure () -> Value, _ change: (inout Value) -> Result
    ) -> Result {
        if let index = young.index(forKey: key) { return change(&young.values[index]) }
        var value = old.removeValue(forKey: key) ?? make()
        defer { insert(value, for: key) }
        return change(&value)
    }

    package mutating func remove(_ key: Key) {
        if let value = young.removeValue(forKey: key) { youngCost -= cost(value) }
        old.removeValue(forKey: key)
    }

    package mutating func removeAll() {
        young = [:]
        old = [:]
        youngCost = 0
    }
}
