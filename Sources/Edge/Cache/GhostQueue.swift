// SPDX-License-Identifier: Apache-2.0

/// The blobs that were evicted lately without having been used twice: one that comes back was evicted too early. Only
/// fingerprints are kept, 8 bytes each; a pure value.
///
/// A first-in, first-out queue without the queue. Each fingerprint carries the time at which it came, on a clock that
/// moves by the bytes of every blob that comes; it counts until that clock has moved by `bytesMax`. The table has sets
/// of eight slots; a set that is full drops its oldest. Fingerprints have 32 bits: one blob in some thousands is taken
/// for a known one, which costs a place in the main queue and nothing else.
struct GhostQueue: Sendable {
    /// 8 MiB of memory.
    static let slotCountMax = 1 << 20
    private static let slotCountMin = 64
    private static let setSlots = 8
    /// Bytes of one tick of the clock.
    private static let tickBytes: Int64 = 1 << 16

    /// Blobs of how many bytes are remembered.
    let bytesMax: Int64
    /// Fingerprint, then time in ticks, 32 bits each; 0 is an empty slot.
    private var slots: [UInt64] = []
    private var clockBytes: Int64 = 0

    /// - Parameter bytesMax: Beyond 64 TiB counts as 64 TiB: the ticks wrap at 256.
    init(bytesMax: Int64) {
        self.bytesMax = min(max(0, bytesMax), 1 << 46)
    }

    var memoryBytes: Int { slots.capacity * MemoryLayout<UInt64>.stride }

    /// - Parameters:
    ///   - hash: Of the digest, uniform.
    ///   - bytes: Of the blob; moves the clock.
    ///   - blobCount: Blobs in the cache: the table grows to about as many slots.
    mutating func insert(_ hash: UInt64, bytes: Int64, blobCount: Int) {
        clockBytes &+= max(0, bytes)
        if slots.isEmpty || slots.count < min(blobCount, Self.slotCountMax) { grow() }
        put(Self.fingerprint(of: hash), tick: tick)
    }

    /// Whether the blob is among them; it is not any more afterwards.
    mutating func take(_ hash: UInt64) -> Bool {
        let fingerprint = Self.fingerprint(of: hash)
        for index in set(of: fingerprint) where slots[index] >> 32 == UInt64(fingerprint) {
            defer { slots[index] = 0 }
            return isLive(slots[index])
        }
        return false
    }

    private static func fingerprint(of hash: UInt64) -> UInt32 { max(1, UInt32(truncatingIfNeeded: hash >> 20)) }

    private var tick: UInt32 { UInt32(truncatingIfNeeded: clockBytes / Self.tickBytes) }

    private func age(_ slot: UInt64) -> UInt32 { tick &- UInt32(truncatingIfNeeded: slot) }

    private func isLive(_ slot: UInt64) -> Bool { slot != 0 && Int64(age(slot)) * Self.tickBytes <= bytesMax }

    private func set(of fingerprint: UInt32) -> Range<Int> {
        guard !slots.isEmpty else { return 0..<0 }
        let first = Int(fingerprint) & (slots.count / Self.setSlots - 1)
        return first * Self.setSlots..<(first + 1) * Self.setSlots
    }

    private mutating func put(_ fingerprint: UInt32, tick: UInt32) {
        let set = set(of: fingerprint)
        let place =
            set.first { slots[$0] >> 32 == UInt64(fingerprint) } ?? set.first { slots[$0] == 0 }
            ?? set.max { age(slots[$0]) < age(slots[$1]) }
        guard let place else { return }
        slots[place] = UInt64(fingerprint) << 32 | UInt64(tick)
    }

    private mutating func grow() {
        let live = slots.filter { isLive($0) }
        slots = Array(repeating: 0, count: max(Self.slotCountMin, slots.count * 2))
        for slot in live { put(UInt32(truncatingIfNeeded: slot >> 32), tick: UInt32(truncatingIfNeeded: slot)) }
    }
}
