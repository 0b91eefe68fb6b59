// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Which blobs are in the cache, how many bytes they take, and which go first when room is needed: the one used
/// longest ago. A pure value; the cache removes the files it names.
///
/// Blobs in use are pinned and never named. What fills beyond the maximum may stay above it for as long as everything
/// is pinned; then nothing more is stored.
package struct EvictionQueue: Sendable {
    package typealias Handle = UInt32

    package struct Victim: Sendable, Equatable {
        package let name: BlobName
        package let isComplete: Bool
    }

    /// Where eviction stops, in parts of 100 of the maximum: a little room, so that not every store evicts.
    private static let lowPercent: Int64 = 95

    package let bytesMax: Int64
    /// Bytes of all blobs on disk.
    package private(set) var usedBytes: Int64 = 0
    private var index = BlobIndex()
    private var newest = BlobIndex.none
    private var oldest = BlobIndex.none

    package init(bytesMax: Int64) {
        self.bytesMax = max(0, bytesMax)
    }

    package var count: Int { index.count }

    /// Memory that the index takes.
    package var indexBytes: Int { index.memoryBytes }

    package func find(_ digest: Digest) -> Handle? { index.find(digest) }

    package func name(of handle: Handle) -> BlobName { index.name(of: handle) }
    package func isComplete(_ handle: Handle) -> Bool { index[handle].isComplete }

    /// - Parameter isFresh: Used now; otherwise first to go (found on disk at start, nobody knows its last use).
    /// - Returns: The new entry's handle; that of the old one if the digest is known already.
    @discardableResult
    package mutating func insert(_ name: BlobName, storedBytes: Int64, isComplete: Bool, isFresh: Bool) -> Handle {
        if let known = index.find(name.digest) { return known }
        let handle = index.insert(name)
        index[handle].storedBytes = storedBytes
        index[handle].isComplete = isComplete
        usedBytes += storedBytes
        if isFresh { linkAsNewest(handle) } else { linkAsOldest(handle) }
        return handle
    }

    package mutating func used(_ handle: Handle) {
        guard handle != newest else { return }
        unlink(handle)
        linkAsNewest(handle)
    }

    /// Bytes of the blob that are on disk now.
    package mutating func setStored(_ handle: Handle, bytes: Int64) {
        usedBytes += bytes - index[handle].storedBytes
        index[handle].storedBytes = bytes
    }

    package mutating func completed(_ handle: Handle) { index[handle].isComplete = true }

    package mutating func setPinned(_ handle: Handle, _ isPinned: Bool) { index[handle].isPinned = isPinned }

    /// Its files are gone.
    package mutating func remove(_ handle: Handle) {
        usedBytes -= index[handle].storedBytes
        unlink(handle)
        index.remove(handle)
    }

    /// Forgets the blobs that have to go and names them; empty while `usedBytes + incomingBytes` is within the maximum.
    ///
    /// - Parameters:
    ///   - incomingBytes: About to be stored.
    ///   - missingBytes: To be freed in any case, because the file system is short of them.
    package mutating func evict(incomingBytes: Int64, missingBytes: Int64 = 0) -> [Victim] {
        var target = usedBytes - max(0, missingBytes)
        if usedBytes > bytesMax - incomingBytes {
            target = min(target, bytesMax / 100 * Self.lowPercent - incomingBytes)
        }
        var victims: [Victim] = []
        var handle = oldest
        while usedBytes > target, handle != BlobIndex.none {
            let newer = index[handle].newer
            if !index[handle].isPinned {
                victims.append(Victim(name: index.name(of: handle), isComplete: index[handle].isComplete))
                remove(handle)
            }
            handle = newer
        }
        return victims
    }

    /// Whether this much more would stay within the maximum.
    package func hasRoom(forBytes count: Int64) -> Bool { usedBytes <= bytesMax - count }

    private mutating func linkAsNewest(_ handle: Handle) {
        index[handle].older = newest
        index[handle].newer = BlobIndex.none
        if newest != BlobIndex.none { index[newest].newer = handle } else { oldest = handle }
        newest = handle
    }

    private mutating func linkAsOldest(_ handle: Handle) {
        index[handle].newer = oldest
        index[handle].older = BlobIndex.none
        if oldest != BlobIndex.none { index[oldest].older = handle } else { newest = handle }
        oldest = handle
    }

    private mutating func unlink(_ handle: Handle) {
        let (newer, older) = (index[handle].newer, index[handle].older)
        if newer != BlobIndex.none { index[newer].older = older } else { newest = older }
        if older != BlobIndex.none { index[older].newer = newer } else { oldest = newer }
    }
}
