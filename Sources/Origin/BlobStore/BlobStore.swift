// SPDX-License-Identifier: Apache-2.0

package import Disk
package import Hashing
package import OCI

/// Where the bytes of blobs are. Knows keys and bytes; digests, repositories and rights are the database's.
///
/// A blob is created at its final key, appended to, synced, and from the database's commit on only read. Every call
/// blocks and is made on the disk pool.
package protocol BlobStore: Sendable {
    /// Creates an empty blob. Its name is durable after the first sync.
    /// - Throws: `.outOfSpace`, `.io`.
    func create(_ key: BlobKey) throws(BlobStoreError) -> any BlobFile

    /// Opens an uncommitted blob for appending at `sizeBytes`, dropping what lies behind: those bytes were never
    /// acknowledged. A size of zero creates the blob if a crash kept its name from the disk.
    /// - Throws: `.damaged` if less than `sizeBytes` is there; `.outOfSpace`, `.io`.
    func openForAppend(_ key: BlobKey, truncatingTo sizeBytes: Int64) throws(BlobStoreError) -> any BlobFile

    /// Opens a committed blob for reading; `nil` if there is none.
    /// - Throws: `.io`.
    func open(_ key: BlobKey) throws(BlobStoreError) -> StoredBlob?

    /// The piece list of a committed blob; `nil` if it was stored without one.
    /// - Throws: `.damaged` if the list does not fit the size; `.io`.
    func pieces(_ key: BlobKey, digest: Digest, sizeBytes: Int64) throws(BlobStoreError) -> PieceList?

    /// Removes a blob and its piece list; does nothing if there is none.
    /// - Throws: `.io`.
    func remove(_ key: BlobKey) throws(BlobStoreError)

    /// The keys of all files, committed or not, whose first byte is `prefix`; also of a piece list without its blob. In no
    /// order, each once.
    /// - Throws: `.io`.
    func keys(startingWith prefix: UInt8) throws(BlobStoreError) -> Set<BlobKey>

    /// For how long nobody has written to a file; `nil` if there is none.
    /// - Throws: `.io`.
    func idleTime(of key: BlobKey) throws(BlobStoreError) -> Duration?

    /// Refuses what would use up the reserve of the volume.
    /// - Parameter additionalBytes: What is about to be written, zero if unknown.
    /// - Throws: `.outOfSpace`, `.io`.
    func checkSpace(for additionalBytes: Int64) throws(BlobStoreError)
}

/// A committed blob, open for reading.
package struct StoredBlob: Sendable {
    package let file: File
    package let sizeBytes: Int64

    /// - Returns: Bytes read; fewer than asked for only at the end.
    /// - Throws: `.io`.
    package func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(BlobStoreError) -> Int {
        try storing { try file.read(into: bytes, at: offset) }
    }
}

/// One blob while it is being written. Every call blocks and is made on the disk pool; writes may run in parallel.
/// After a failed sync every later call fails too: the kernel may have dropped the pages that it could not write.
package protocol BlobFile: AnyObject, Sendable {
    var key: BlobKey { get }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(BlobStoreError)

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(BlobStoreError) -> Int

    /// Appends SHA-256 digests of pieces to the side file, dropping what it holds behind `pieceIndex`: an earlier
    /// request may have listed pieces that were never acknowledged.
    /// - Parameters:
    ///   - rawDigests: 32 bytes for each piece; may be empty.
    ///   - pieceIndex: Index of the first of them.
    func appendPieces(_ rawDigests: [UInt8], at pieceIndex: Int) throws(BlobStoreError)

    /// Asks the kernel to begin writing a range, so that the next sync finds little to do. Best effort.
    func startWriteback(_ range: Range<Int64>)

    /// On return everything written so far survives a loss of power, and so does the blob's name.
    func syncDurablePoint() throws(BlobStoreError)

    /// As `syncDurablePoint`, the last time.
    /// - Throws: `.damaged` if the blob is not `sizeBytes` long.
    func syncForCommit(sizeBytes: Int64) throws(BlobStoreError)
}

/// Which blobs need a piece list of their own.
package enum PieceRule {
    /// A blob of one piece under SHA-256 is its own piece list, and a blob of no bytes has none to list.
    package static func needsSideFile(algorithm: DigestAlgorithm, sizeBytes: Int64) -> Bool {
        sizeBytes > 0 && !(algorithm == .sha256 && sizeBytes <= PieceList.pieceBytes)
    }
}
