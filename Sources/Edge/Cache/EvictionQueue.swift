// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Which blobs are in the cache, how many bytes they take, and which go first when room is needed: S3-FIFO, counted in
/// bytes. A pure value; the cache removes the files it names.
///
/// A blob comes into the **small** queue, a tenth of the cache. At its end it goes, unless it was used twice meanwhile:
/// then it moves into the **main** queue, where each use spares it one round, up to three. So what is wanted once passes
/// through a tenth of the cache and leaves the rest alone. Blobs that left the small queue are remembered in a **ghost**
/// queue; one that comes back while it is remembered goes into the main queue at once. (Yang et al., "FIFO queues are all
/// you need for cache eviction", SOSP 2023.)
///
/// A blob larger than the small queue would push everything else out of it, and refusing it would mean never to cache
/// it. It is in **transit**: kept while it is in use, first to go when room is needed, and moved into the main queue by a
/// second use, or when it comes back while it is remembered.
///
/// Blobs in use are pinned and never named. What fills beyond the maximum may stay above it for as long as everything
/// is pinned; then nothing more is stored.
package struct EvictionQueue: Sendable {
    package typealias Handle = UInt32

    /// What one call decided.
    package struct Eviction: Sendable, Equatable {
        /// Forgotten already; their files are to be removed.
        package var victims: [BlobName] = []
        /// Whether the target is reached or nothing more can go. If not, call again.
        package var isDone = false
    }

    /// Where a blob that is not in the queue comes from.
    package enum Arrival: Sendable {
        case parent
        /// On disk since before the start: it was worth keeping, and nobody knows its last use.
        case disk
    }

    /// What is told of a blob to the next start.
    package struct Hint: Sendable, Equatable {
        /// The first eight bytes of the digest, in their order.
        package let prefix: UInt64
        /// Ascends with the order of coming, within each queue.
        package let order: UInt32
        package let place: Place
        /// Uses, 0 to 3.
        package let frequency: UInt8

        package init(prefix: UInt64, order: UInt32, place: Place, frequency: UInt8) {
            self.prefix = prefix
            self.order = order
            self.place = place
            self.frequency = frequency
        }
    }

    package enum Place: UInt8, Sendable, CaseIterable { case small, main, transit }

    /// Orders below this are those of an earlier run.
    private static let firstOrder: UInt32 = 1 << 30
    private static let smallPercent: Int64 = 10
    private static let highPercent: Int64 = 95
    private static let lowPercent: Int64 = 90
    private static let frequencyMax: UInt8 = 3
    /// Uses in the small queue that lead to the main one.
    private static let promotingFrequency: UInt8 = 2

    private struct Line: Sendable {
        var newest = BlobIndex.none
        var oldest = BlobIndex.none
        var bytes: Int64 = 0
        var count = 0
        var pinnedCount = 0
        var hasCandidates: Bool { count > pinnedCount }
    }

    package let bytesMax: Int64
    /// Bytes of all blobs on disk.
    package private(set) var usedBytes: Int64 = 0
    /// Bytes on their way to the disk, which have room.
    private var reservedBytes: Int64 = 0
    private var index = BlobIndex()
    /// By `BlobIndex.Segment`; the first stays empty.
    private var lines = Array(repeating: Line(), count: 4)
    private var ghosts: GhostQueue
    private var linkCount = firstOrder
    /// Moves with everything that a hint would tell.
    package private(set) var changeCount: UInt64 = 0

    package init(bytesMax: Int64) {
        self.bytesMax = max(0, bytesMax)
        ghosts = GhostQueue(bytesMax: self.bytesMax - Self.percent(Self.smallPercent, of: self.bytesMax))
    }

    package var count: Int { index.count }

    /// Memory of the index and of the ghost queue.
    package var indexBytes: Int { index.memoryBytes + ghosts.memoryBytes }

    /// Above this, room is made in the background.
    package var highBytes: Int64 { Self.percent(Self.highPercent, of: bytesMax) }
    /// Where that ends.
    package var lowBytes: Int64 { Self.percent(Self.lowPercent, of: bytesMax) }
    private var smallBytesMax: Int64 { Self.percent(Self.smallPercent, of: bytesMax) }

    private static func percent(_ part: Int64, of bytes: Int64) -> Int64 {
        bytes / 100 * part + bytes % 100 * part / 100
    }

    package func find(_ digest: Digest) -> Handle? { index.find(digest) }
    package func name(of handle: Handle) -> BlobName { index.name(of: handle) }
    package func isPinned(_ handle: Handle) -> Bool { index[handle].isPinned }

    /// - Returns: `nil` for a handle that is not in use.
    package func place(of handle: Handle) -> Place? {
        switch index[handle].segment {
        case .unused: nil
        case .small: .small
        case .main: .main
        case .transit: .transit
        }
    }

    /// Bytes on disk of the blobs in one of the queues.
    package func bytes(in place: Place) -> Int64 { lines[Int(Self.segment(place).rawValue)].bytes }

    // MARK: Coming and being used

    /// - Returns: The new entry's handle; that of the old one if the digest is known already.
    @discardableResult
    package mutating func insert(_ name: BlobName, storedBytes: Int64, from arrival: Arrival) -> Handle {
        if let known = index.find(name.digest) { return known }
        let handle = index.insert(name)
        index[handle].storedBytes = storedBytes
        usedBytes += storedBytes
        switch arrival {
        // Older than whatever came since the start. The main queue, for it has room for all of them, and since each of
        // them came through the small one once.
        case .disk: link(handle, as: .main, isOldest: true)
        case .parent:
            let isRemembered = ghosts.take(index.hash(of: name.digest))
            if isRemembered && fitsMain(name.sizeBytes) {
                link(handle, as: .main)
            } else {
                link(handle, as: name.sizeBytes > smallBytesMax ? .transit : .small)
            }
        }
        return handle
    }

    /// The blob was used, after the use that it came for.
    package mutating func used(_ handle: Handle, times: Int = 1) {
        guard times > 0 else { return }
        changeCount &+= 1
        if index[handle].segment == .transit {
            guard fitsMain(index[handle].sizeBytes) else { return }
            move(handle, to: .main)
        } else {
            let frequency = Int(index[handle].frequency) + min(times, Int(Self.frequencyMax))
            index[handle].frequency = UInt8(min(frequency, Int(Self.frequencyMax)))
        }
    }

    /// Bytes of the blob that are on disk now.
    package mutating func setStored(_ handle: Handle, bytes: Int64) {
        let growth = bytes - index[handle].storedBytes
        usedBytes += growth
        lines[Int(index[handle].segment.rawValue)].bytes += growth
        index[handle].storedBytes = bytes
    }

    package mutating func setPinned(_ handle: Handle, _ isPinned: Bool) {
        guard index[handle].isPinned != isPinned else { return }
        index[handle].isPinned = isPinned
        lines[Int(index[handle].segment.rawValue)].pinnedCount += isPinned ? 1 : -1
    }

    /// Its files are gone, not for want of room.
    package mutating func remove(_ handle: Handle) {
        unlink(handle)
        usedBytes -= index[handle].storedBytes
        index.remove(handle)
    }

    // MARK: Going

    /// What is on disk, and what has room reserved.
    package var occupiedBytes: Int64 { usedBytes + reservedBytes }

    /// Whether this much more would stay within the maximum.
    package func hasRoom(forBytes count: Int64) -> Bool { occupiedBytes <= bytesMax - count }

    /// Keeps room for bytes that are about to be written, so that many writers at once stay within the maximum together.
    /// Whoever gets it gives it back by `release`, after `setStored`.
    /// - Returns: Whether there is room.
    package mutating func reserve(bytes count: Int64) -> Bool {
        guard hasRoom(forBytes: count) else { return false }
        reservedBytes += count
        return true
    }

    package mutating func release(bytes count: Int64) { reservedBytes -= count }

    /// Whether anything could go.
    package var hasCandidates: Bool { lines.contains { $0.hasCandidates } }

    /// Forgets blobs that have to go and names them.
    ///
    /// - Parameters:
    ///   - targetBytes: What is to stay at most, of what is on disk and of what has room reserved.
    ///   - stepCountMax: Entries to look at in this call, most of which may be spared, for requests wait meanwhile.
    package mutating func evict(downTo targetBytes: Int64, stepCountMax: Int = 256) -> Eviction {
        var eviction = Eviction()
        for _ in 0..<stepCountMax {
            guard occupiedBytes > targetBytes, let segment = nextSegment else {
                eviction.isDone = true
                break
            }
            if let victim = step(segment) { eviction.victims.append(victim) }
        }
        return eviction
    }

    private var nextSegment: BlobIndex.Segment? {
        func has(_ segment: BlobIndex.Segment) -> Bool { lines[Int(segment.rawValue)].hasCandidates }
        if has(.transit) { return .transit }
        let smallIsFull = lines[Int(BlobIndex.Segment.small.rawValue)].bytes > smallBytesMax
        if has(.small) && (smallIsFull || !has(.main)) { return .small }
        return has(.main) ? .main : nil
    }

    /// Looks at the oldest entry of a queue that has one without a pin. Each step evicts, takes a use away, or turns a
    /// pinned entry over, so a number of them always leads to a victim.
    private mutating func step(_ segment: BlobIndex.Segment) -> BlobName? {
        let handle = lines[Int(segment.rawValue)].oldest
        let entry = index[handle]
        if entry.isPinned {
            move(handle, to: segment)
            return nil
        }
        switch segment {
        case .small where entry.frequency >= Self.promotingFrequency && fitsMain(entry.sizeBytes):
            index[handle].frequency = 0
            move(handle, to: .main)
            return nil
        case .main where entry.frequency > 0:
            index[handle].frequency -= 1
            move(handle, to: .main)
            return nil
        case .small, .transit, .main, .unused:
            let name = index.name(of: handle)
            if segment != .main {
                ghosts.insert(index.hash(of: name.digest), bytes: name.sizeBytes, blobCount: index.count)
            }
            remove(handle)
            return name
        }
    }

    private func fitsMain(_ sizeBytes: Int64) -> Bool { sizeBytes <= bytesMax - smallBytesMax }

    // MARK: Walking

    /// The next blob at or after `handle` for which nobody holds a pin, in no order.
    /// - Parameter stepCountMax: Entries to look at.
    /// - Returns: Where to go on; `nil` after the last one.
    package func nextIdle(
        from handle: Handle, stepCountMax: Int = 512
    ) -> (blob: BlobName?, next: Handle?) {
        var handle = handle
        for _ in 0..<stepCountMax {
            guard handle < index.handleEnd else { return (nil, nil) }
            defer { handle += 1 }
            if index[handle].segment != .unused && !index[handle].isPinned {
                return (index.name(of: handle), handle + 1)
            }
        }
        return (nil, handle)
    }

    /// Handles are below this.
    package var handleEnd: Handle { index.handleEnd }

    // MARK: Hints

    /// What is known about the blobs with handles in this range.
    package func hints(of handles: Range<Handle>) -> [Hint] {
        handles.clamped(to: 0..<index.handleEnd).compactMap { handle in
            guard let place = place(of: handle) else { return nil }
            let entry = index[handle]
            // What was found without a hint came shortly before the last start.
            let order = entry.order == 0 ? Self.firstOrder - 1 : entry.order
            return Hint(prefix: entry.word0, order: order, place: place, frequency: entry.frequency)
        }
    }

    /// Puts a blob that was found on disk, and not used since, where it was before the start. Hints are to come in
    /// descending order, from 2^30 - 2 at most, so that each is older than the one before.
    package mutating func restore(_ hint: Hint) {
        guard let handle = index.find(prefix: hint.prefix), index[handle].order == 0 else { return }
        unlink(handle)
        index[handle].frequency = max(index[handle].frequency, min(hint.frequency, Self.frequencyMax))
        index[handle].order = min(hint.order, Self.firstOrder - 2)
        link(handle, as: Self.segment(hint.place), isOldest: true)
    }

    // MARK: Lines

    private static func segment(_ place: Place) -> BlobIndex.Segment {
        switch place {
        case .small: .small
        case .main: .main
        case .transit: .transit
        }
    }

    private mutating func move(_ handle: Handle, to segment: BlobIndex.Segment) {
        unlink(handle)
        link(handle, as: segment)
    }

    private mutating func link(_ handle: Handle, as segment: BlobIndex.Segment, isOldest: Bool = false) {
        var line = lines[Int(segment.rawValue)]
        if isOldest {
            index[handle].newer = line.oldest
            index[handle].older = BlobIndex.none
            if line.oldest != BlobIndex.none { index[line.oldest].older = handle } else { line.newest = handle }
            line.oldest = handle
        } else {
            index[handle].older = line.newest
            index[handle].newer = BlobIndex.none
            if line.newest != BlobIndex.none { index[line.newest].newer = handle } else { line.oldest = handle }
            line.newest = handle
            linkCount = linkCount == .max ? Self.firstOrder : linkCount + 1
            index[handle].order = linkCount
        }
        index[handle].segment = segment
        changeCount &+= 1
        line.count += 1
        line.bytes += index[handle].storedBytes
        line.pinnedCount += index[handle].isPinned ? 1 : 0
        lines[Int(segment.rawValue)] = line
    }

    private mutating func unlink(_ handle: Handle) {
        let entry = index[handle]
        var line = lines[Int(entry.segment.rawValue)]
        if entry.newer != BlobIndex.none { index[entry.newer].older = entry.older } else { line.newest = entry.older }
        if entry.older != BlobIndex.none { index[entry.older].newer = entry.newer } else { line.oldest = entry.newer }
        line.count -= 1
        line.bytes -= entry.storedBytes
        line.pinnedCount -= entry.isPinned ? 1 : 0
        lines[Int(entry.segment.rawValue)] = line
    }
}
