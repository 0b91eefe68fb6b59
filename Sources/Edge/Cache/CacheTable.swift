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
        /// When the last pin went; moves with every release.
        var idleSince: UInt64 = 0
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
    private var releaseCount: UInt64 = 0
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
        queue.used(open.handle)
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
    mutating func endedOpening(_ name: BlobName, _ blob: CachedBlob?) -> [OpenCompletion] {
        guard case .opening(let completions) = slots[name.digest] else { return [] }
        let known = queue.find(name.digest)
        guard let blob else {
            slots[name.digest] = nil
            if let known { queue.remove(known) }
            return completions
        }
        let handle = known ?? queue.insert(name, storedBytes: 0, isComplete: blob.isComplete, isFresh: true)
        if blob.isComplete { queue.completed(handle) }
        queue.setStored(handle, bytes: blob.storedBytes)
        queue.used(handle)
        queue.setPinned(handle, !completions.isEmpty)
        if completions.isEmpty { idleCount += 1 }
        slots[name.digest] = .open(Open(blob: blob, handle: handle, pinCount: completions.count))
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

    /// One pin goes.
    /// - Returns: Blobs that are closed because too many idle ones were open; the last reference to each is the caller's.
    mutating func released(_ blob: CachedBlob) -> [CachedBlob] {
        guard case .open(var open) = slots[blob.digest], open.blob === blob, open.pinCount > 0 else { return [] }
        open.pinCount -= 1
        if open.pinCount == 0 {
            releaseCount += 1
            open.idleSince = releaseCount
            idleCount += 1
            queue.setPinned(open.handle, open.isCommitting)
        }
        slots[blob.digest] = .open(open)
        return idleCount > idleCountMax ? closeIdle() : []
    }

    /// Closes the quarter of the idle blobs that nobody used for the longest time, so that the search is rare.
    private mutating func closeIdle() -> [CachedBlob] {
        var idle: [(since: UInt64, blob: CachedBlob)] = []
        for case .open(let open) in slots.values where open.pinCount == 0 && !open.isCommitting {
            idle.append((open.idleSince, open.blob))
        }
        idle.sort { $0.since < $1.since }
        let closed = idle.prefix(idle.count / 4 + 1).map(\.blob)
        for blob in closed { slots[blob.digest] = nil }
        idleCount -= closed.count
        return closed
    }

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

    mutating func endedCommit(_ blob: CachedBlob) {
        guard case .open(var open) = slots[blob.digest], open.blob === blob else { return }
        open.isCommitting = false
        slots[blob.digest] = .open(open)
        queue.setPinned(open.handle, open.pinCount > 0)
        if blob.isComplete { queue.completed(open.handle) }
    }

    /// More of the blob is on disk.
    mutating func grew(_ blob: CachedBlob) {
        guard case .open(let open) = slots[blob.digest], open.blob === blob else { return }
        queue.setStored(open.handle, bytes: blob.storedBytes)
    }

    // MARK: Removing

    /// The blob's file is damaged. Who uses it goes on until it notices.
    /// - Returns: Whether the caller removes the files now and then calls `endedRemoving`.
    mutating func beganDiscarding(_ blob: CachedBlob) -> Bool {
        guard case .open(let open) = slots[blob.digest], open.blob === blob else { return false }
        if open.pinCount == 0 { idleCount -= 1 }
        queue.remove(open.handle)
        slots[blob.digest] = .removing([])
        return true
    }

    /// Files that belong to no blob.
    /// - Returns: Whether the caller removes them now and then calls `endedRemoving`.
    mutating func beganSweeping(_ digest: Digest) -> Bool {
        guard slots[digest] == nil else { return false }
        slots[digest] = .removing([])
        return true
    }

    /// Takes out of the table what has to go; the caller removes the files and then calls `endedRemoving` for each.
    mutating func beganEvicting(incomingBytes: Int64, missingBytes: Int64) -> [EvictionQueue.Victim] {
        let victims = queue.evict(incomingBytes: incomingBytes, missingBytes: missingBytes)
        for victim in victims {
            if case .open = slots[victim.name.digest] { idleCount -= 1 }
            slots[victim.name.digest] = .removing([])
        }
        return victims
    }

    /// - Returns: What waited for the removal.
    mutating func endedRemoving(_ digest: Digest) -> [@Sendable () -> Void] {
        guard case .removing(let waiters) = slots[digest] else { return [] }
        slots[digest] = nil
        return waiters
    }

    // MARK: Finding what is on disk

    /// A blob that the scan of the names found. What is known already, or is being removed, is left as it is.
    mutating func found(_ name: BlobName, storedBytes: Int64, isComplete: Bool) {
        if case .removing = slots[name.digest] { return }
        let handle = queue.insert(name, storedBytes: storedBytes, isComplete: isComplete, isFresh: false)
        if case .opening = slots[name.digest] { queue.setPinned(handle, true) }
    }
}
