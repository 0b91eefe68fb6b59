// SPDX-License-Identifier: Apache-2.0

import OCI

/// Which blobs are open, being opened, or being removed, and the eviction queue over all of them. A value without
/// I/O; the cache performs what its answers say after the lock is released.
///
/// Opening and removing exclude each other per digest, so that a file is never unlinked under somebody who is about to
/// use its name.
struct CacheTable: Sendable {
    typealias OpenCompletion = @Sendable (Result<CachedBlob?, CacheError>) -> Void

    enum OpenAnswer {
        /// It is open and now pinned once more.
        case open(CachedBlob)
        /// The caller opens or creates the files and then calls `endedOpening`.
        case load
        /// The completion is called by whoever is at work.
        case wait
        /// The same digest is open with another size: the origin contradicts itself, and nothing is opened.
        case contradiction
    }

    private struct Open {
        let blob: CachedBlob
        let handle: EvictionQueue.Handle
        var pinCount: Int
        /// When a pin went last; when it was opened, before that.
        var idleSince: ContinuousClock.Instant
        var wasReleased = false
        var isCommitting = false
    }

    private enum Slot {
        case opening([OpenCompletion])
        case open(Open)
        /// What to do when the files are gone.
        case removing([@Sendable () -> Void])
    }

    private var slots: [Digest: Slot] = [:]
    private var idleCount = 0
    private let idleCountMax: Int
    private(set) var queue: EvictionQueue

    init(bytesMax: Int64, idleCountMax: Int) {
        queue = EvictionQueue(bytesMax: bytesMax)
        self.idleCountMax = idleCountMax
    }

    // MARK: Opening

    /// The blob if it is open, pinned once more.
    mutating func pinned(_ name: BlobName) -> CachedBlob? {
        guard case .open(var open) = slots[name.digest], open.blob.name == name else { return nil }
        if open.pinCount == 0 {
            idleCount -= 1
            queue.setPinned(open.handle, true)
        }
        open.pinCount += 1
        slots[name.digest] = .open(open)
        return open.blob
    }

    /// - Parameter retry: What to do once a removal that is in progress is over.
    mutating func beganOpening(
        _ name: BlobName,
        completion: @escaping OpenCompletion,
        retry: @escaping @Sendable () -> Void
    ) -> OpenAnswer {
        switch slots[name.digest] {
        case nil:
            slots[name.digest] = .opening([completion])
            if let handle = queue.find(name.digest) { queue.setPinned(handle, true) }
            return .load
        case .opening(let others):
            slots[name.digest] = .opening(others + [completion])
            return .wait
        case .removing(let others):
            slots[name.digest] = .removing(others + [retry])
            return .wait
        case .open:
            return pinned(name).map { .open($0) } ?? .contradiction
        }
    }

    /// As `beganOpening`, for who cannot wait.
    /// - Returns: `nil` if somebody is at work on the files. Then the completion is not called, and nothing is pinned.
    mutating func beganCreating(_ name: BlobName, completion: @escaping OpenCompletion) -> OpenAnswer? {
        switch slots[name.digest] {
        case .opening, .removing: nil
        case .open, nil: beganOpening(name, completion: completion, retry: {})
        }
    }

    /// The blob was opened or created, with one pin for each completion returned, or it is not there.
    mutating func endedOpening(
        _ name: BlobName, _ blob: CachedBlob?, at now: ContinuousClock.Instant
    ) -> [OpenCompletion] {
        guard case .opening(let completions) = slots[name.digest] else { return [] }
        let known = queue.find(name.digest)
        guard let blob else {
            slots[name.digest] = nil
            if let known { queue.remove(known) }
            return completions
        }
        let handle = known ?? queue.insert(name, storedBytes: 0, from: blob.isFetched ? .parent : .disk)
        queue.setStored(handle, bytes: blob.storedBytes)
        queue.setPinned(handle, !completions.isEmpty)
        if completions.isEmpty { idleCount += 1 }
        slots[name.digest] = .open(Open(blob: blob, handle: handle, pinCount: completions.count, idleSince: now))
        return completions
    }

    /// The files could not be opened, for a reason that says nothing about their content.
    mutating func failedOpening(_ name: BlobName) -> [OpenCompletion] {
        guard case .opening(let completions) = slots[name.digest] else { return [] }
        slots[name.digest] = nil
        if let handle = queue.find(name.digest) { queue.setPinned(handle, false) }
        return completions
    }

    // MARK: Open blobs

    /// One pin goes, and what readers did with the blob becomes known to the queue.
    /// - Parameter now: `nil` for the scrub, which is no use of the blob.
    /// - Returns: Blobs that are closed because too many idle ones were open; the last reference to each is the caller's.
    mutating func released(_ blob: CachedBlob, at now: ContinuousClock.Instant?) -> [CachedBlob] {
        guard case .open(var open) = slots[blob.digest], open.blob === blob, open.pinCount > 0 else { return [] }
        open.pinCount -= 1
        if let now {
            open.idleSince = now
            open.wasReleased = true
        }
        queue.used(open.handle, times: blob.takeUses())
        if open.pinCount == 0 {
            idleCount += 1
            queue.setPinned(open.handle, open.isCommitting)
        }
        slots[blob.digest] = .open(open)
        return idleCount > idleCountMax ? closeIdle() : []
    }

    /// Closes the quarter of the idle blobs that nobody used for the longest time, so that the search is rare.
    private mutating func closeIdle() -> [CachedBlob] {
        var idle: [(since: ContinuousClock.Instant, blob: CachedBlob)] = []
        for case .open(let open) in slots.values where open.pinCount == 0 && !open.isCommitting {
            idle.append((open.idleSince, open.blob))
        }
        idle.sort { $0.since < $1.since }
        let closed = idle.prefix(idle.count / 4 + 1).map(\.blob)
        for blob in closed { slots[blob.digest] = nil }
        idleCount -= closed.count
        return closed
    }

    /// The files' names are the caller's from now on.
    /// - Returns: Whether the caller commits the blob now and then calls `endedCommit`.
    mutating func beganCommit(_ blob: CachedBlob) -> Bool {
        guard case .open(var open) = slots[blob.digest], open.blob === blob, !open.isCommitting, !blob.isComplete else {
            return false
        }
        open.isCommitting = true
        queue.setPinned(open.handle, true)
        slots[blob.digest] = .open(open)
        return true
    }

    /// - Returns: Whether the blob was discarded meanwhile: the caller removes the files and then calls `endedRemoving`.
    mutating func endedCommit(_ blob: CachedBlob) -> Bool {
        guard case .open(var open) = slots[blob.digest], open.blob === blob else { return true }
        open.isCommitting = false
        slots[blob.digest] = .open(open)
        queue.setPinned(open.handle, open.pinCount > 0)
        return false
    }

    /// More of the blob is on disk.
    mutating func grew(_ blob: CachedBlob) {
        guard case .open(let open) = slots[blob.digest], open.blob === blob else { return }
        queue.setStored(open.handle, bytes: blob.storedBytes)
    }

    // MARK: Room

    /// See `EvictionQueue.reserve`.
    mutating func reserveRoom(bytes: Int64) -> Bool { queue.reserve(bytes: bytes) }
    mutating func giveBackRoom(bytes: Int64) { queue.release(bytes: bytes) }

    // MARK: Removing

    /// The blob's file is damaged. Who uses it goes on until it notices.
    /// - Returns: Whether the caller removes the files now and then calls `endedRemoving`.
    mutating func beganDiscarding(_ blob: CachedBlob) -> Bool {
        guard case .open(let open) = slots[blob.digest], open.blob === blob else { return false }
        if open.pinCount == 0 { idleCount -= 1 }
        queue.remove(open.handle)
        slots[blob.digest] = .removing([])
        // Whoever commits it is at work on its names, and removes the files afterwards.
        return !open.isCommitting
    }

    /// Files that belong to no blob.
    /// - Returns: Whether the caller removes them now and then calls `endedRemoving`.
    mutating func beganSweeping(_ digest: Digest) -> Bool {
        guard slots[digest] == nil else { return false }
        slots[digest] = .removing([])
        return true
    }

    /// Takes out of the table some of what has to go; the caller removes the files and then calls `endedRemoving` for
    /// each, and calls again unless it is done.
    mutating func beganEvicting(downTo targetBytes: Int64) -> EvictionQueue.Eviction {
        let eviction = queue.evict(downTo: targetBytes)
        for victim in eviction.victims {
            if case .open = slots[victim.digest] { idleCount -= 1 }
            slots[victim.digest] = .removing([])
        }
        return eviction
    }

    /// - Returns: What waited for the removal.
    mutating func endedRemoving(_ digest: Digest) -> [@Sendable () -> Void] {
        guard case .removing(let waiters) = slots[digest] else { return [] }
        slots[digest] = nil
        return waiters
    }

    // MARK: Finding what is on disk

    /// A blob that the scan of the names found. What is known already, or is being removed, is left as it is.
    mutating func found(_ name: BlobName, storedBytes: Int64) {
        if case .removing = slots[name.digest] { return }
        let handle = queue.insert(name, storedBytes: storedBytes, from: .disk)
        if case .opening = slots[name.digest] { queue.setPinned(handle, true) }
    }

    /// See `EvictionQueue.restore`.
    mutating func restore(_ hints: some Sequence<EvictionQueue.Hint>) {
        for hint in hints { queue.restore(hint) }
    }

    // MARK: Scrubbing

    /// The next blob that nobody has a pin on.
    func nextIdle(from handle: EvictionQueue.Handle) -> (blob: BlobName?, next: EvictionQueue.Handle?) {
        queue.nextIdle(from: handle)
    }

    /// Takes the mark of a piece away, if the caller's pin is the only one. Under this lock, so that whoever comes later
    /// finds the piece unchecked.
    /// - Parameter instant: Pins that others had are to have gone by then.
    /// - Returns: Whether the caller now calls `CachedBlob.scrub`.
    func beganScrub(_ blob: CachedBlob, _ piece: Int, idleSince instant: ContinuousClock.Instant) -> Bool {
        guard
            case .open(let open) = slots[blob.digest], open.blob === blob, open.pinCount == 1, !open.isCommitting,
            !open.wasReleased || open.idleSince <= instant
        else { return false }
        return blob.beginScrub(piece)
    }

    /// Closes a blob that nobody has a pin on.
    /// - Returns: It, if so; the last reference is the caller's.
    mutating func close(_ blob: CachedBlob) -> CachedBlob? {
        guard
            case .open(let open) = slots[blob.digest], open.blob === blob, open.pinCount == 0, !open.isCommitting
        else { return nil }
        idleCount -= 1
        slots[blob.digest] = nil
        return blob
    }
}
