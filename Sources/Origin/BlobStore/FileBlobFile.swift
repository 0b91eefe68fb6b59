// SPDX-License-Identifier: Apache-2.0

import Disk
import Hashing
import OCI
import Synchronization

/// One blob's two files while they are written.
final class FileBlobFile: BlobFile {
    /// What the next sync has to bring to the disk. The PUT that follows docker's PATCH finds nothing to do.
    private struct Unsynced: OptionSet {
        let rawValue: UInt8
        static let data = Unsynced(rawValue: 1)
        static let pieces = Unsynced(rawValue: 2)
        static let names = Unsynced(rawValue: 4)
    }

    private struct State {
        /// Opened by the first `appendPieces`: most blobs are small and need none.
        var pieces: File?
        var unsynced: Unsynced
        var isFailed = false
    }

    let key: BlobKey
    private let data: File
    private let folder: String
    private let volume: VolumeHealth
    private let state: Mutex<State>

    /// - Parameters:
    ///   - isNew: Whether the file's name may not have reached the disk yet.
    ///   - isCut: Whether the file was longer before.
    init(key: BlobKey, data: File, folder: String, volume: VolumeHealth, isNew: Bool, isCut: Bool = false) {
        self.key = key
        self.data = data
        self.folder = folder
        self.volume = volume
        state = Mutex(State(unsynced: isNew ? [.data, .names] : isCut ? .data : []))
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(BlobStoreError) {
        state.withLock { _ = $0.unsynced.insert(.data) }
        try storing { try data.write(bytes, at: offset) }
    }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int64) throws(BlobStoreError) -> Int {
        try storing { try data.read(into: bytes, at: offset) }
    }

    func appendPieces(_ rawDigests: [UInt8], at pieceIndex: Int) throws(BlobStoreError) {
        try storing {
            let file = try openedPieces()
            let offset = Int64(pieceIndex * DigestAlgorithm.sha256.byteCount)
            state.withLock { _ = $0.unsynced.insert(.pieces) }
            // What lies behind belongs to bytes that were cut off when the upload was resumed.
            try file.truncate(to: offset)
            try rawDigests.withUnsafeBytes { try file.write($0, at: offset) }
        }
    }

    private func openedPieces() throws(DiskError) -> File {
        if let file = state.withLock({ $0.pieces }) { return file }
        let file = try File.open(FileBlobStore.sidePath(data.path), .readWriteCreate)
        state.withLock {
            $0.pieces = file
            $0.unsynced.insert(.names)
        }
        return file
    }

    func startWriteback(_ range: Range<Int64>) { try? data.startWriteback(range) }

    func syncDurablePoint() throws(BlobStoreError) {
        // Taken before the calls: a write that comes in between marks the blob again.
        let (pieces, unsynced, isFailed) = state.withLock { state in
            defer { state.unsynced = [] }
            return (state.pieces, state.unsynced, state.isFailed)
        }
        if isFailed { throw BlobStoreError(.io, "\(data.path) failed to sync before") }
        do throws(BlobStoreError) {
            try storing {
                if unsynced.contains(.data) { try data.syncData() }
                if unsynced.contains(.pieces) { try pieces?.syncData() }
                if unsynced.contains(.names) { try Directory.sync(folder) }
            }
        } catch {
            state.withLock { $0.isFailed = true }
            if error.kind == .io { volume.syncFailed() }
            throw error
        }
    }

    func syncForCommit(sizeBytes: Int64) throws(BlobStoreError) {
        try syncDurablePoint()
        let actualBytes = try storing { try data.status().sizeBytes }
        guard actualBytes == sizeBytes else {
            throw BlobStoreError(.damaged, "\(data.path) has \(actualBytes) bytes instead of \(sizeBytes)")
        }
    }
}
