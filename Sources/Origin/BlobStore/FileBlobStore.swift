// SPDX-License-Identifier: Apache-2.0

import Disk
package import Hashing
package import OCI
import Synchronization

/// Blobs as files: `blobs/<aa>/<key>`, and beside it `<key>.pieces`, the raw SHA-256 digests of its 1 MiB pieces.
///
/// `<aa>` are the key's first two digits; a folder is made, and its name synced, when its first blob is, so that a
/// commit syncs one folder and never a parent. A volume whose sync failed three times takes no more writes until a
/// restart.
package final class FileBlobStore: BlobStore {
    package static let syncFailureCountMax = 3

    private let directory: String
    private let reserveBytes: Int64
    private let volume = VolumeHealth()

    /// - Parameters:
    ///   - directory: Absolute; holds `blobs`, which is created if missing.
    ///   - reserveBytes: Free space below which uploads are refused, so that the database and deletes go on.
    /// - Throws: `.io`, `.outOfSpace`.
    package init(directory: String, reserveBytes: Int64) throws(BlobStoreError) {
        self.directory = directory + "/blobs"
        self.reserveBytes = reserveBytes
        _ = try storing { try Directory.create(self.directory) }
    }

    /// `false` once the volume has failed to sync too often: the origin is not ready for pushes.
    package var isWritable: Bool { !volume.isSuspect }

    package func create(_ key: BlobKey) throws(BlobStoreError) -> any BlobFile {
        try checkSpace(for: 0)
        let file = try storing { try openNew(key, .createExclusive) }
        return FileBlobFile(key: key, data: file, folder: folder(of: key), volume: volume, isNew: true)
    }

    package func openForAppend(_ key: BlobKey, truncatingTo sizeBytes: Int64) throws(BlobStoreError) -> any BlobFile {
        try checkSpace(for: 0)
        let path = path(of: key)
        let isNew = sizeBytes == 0
        let file = try storing {
            try isNew ? openNew(key, .readWriteCreate) : File.openIfExists(path, .readWrite)
        }
        guard let file else { throw BlobStoreError(.damaged, "\(path) is gone, though \(sizeBytes) bytes were synced") }
        let actualBytes = try storing { try file.status().sizeBytes }
        guard actualBytes >= sizeBytes else {
            throw BlobStoreError(.damaged, "\(path) has \(actualBytes) bytes, though \(sizeBytes) were synced")
        }
        let isCut = actualBytes > sizeBytes
        if isCut { try storing { try file.truncate(to: sizeBytes) } }
        return FileBlobFile(
            key: key, data: file, folder: folder(of: key), volume: volume, isNew: isNew, isCut: isCut)
    }

    package func open(_ key: BlobKey) throws(BlobStoreError) -> StoredBlob? {
        try storing {
            guard let file = try File.openIfExists(path(of: key), .read) else { return nil }
            return StoredBlob(file: file, sizeBytes: try file.status().sizeBytes)
        }
    }

    package func pieces(_ key: BlobKey, digest: Digest, sizeBytes: Int64) throws(BlobStoreError) -> PieceList? {
        guard PieceRule.needsSideFile(algorithm: digest.algorithm, sizeBytes: sizeBytes) else {
            return PieceList(rawDigests: sizeBytes == 0 ? [] : digest.bytes, blobSizeBytes: sizeBytes)
        }
        let path = Self.sidePath(path(of: key))
        let raw: [UInt8]? = try storing {
            guard let file = try File.openIfExists(path, .read) else { return nil }
            // One byte more than there should be, to see a list that is too long.
            var raw = [UInt8](repeating: 0, count: PieceList.byteCount(forBlobOf: sizeBytes) + 1)
            let readCount = try raw.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
            return Array(raw[..<readCount])
        }
        guard let raw else { return nil }
        guard let list = PieceList(rawDigests: raw, blobSizeBytes: sizeBytes) else {
            throw BlobStoreError(.damaged, "\(path) does not list the pieces of \(sizeBytes) bytes")
        }
        return list
    }

    package func remove(_ key: BlobKey) throws(BlobStoreError) {
        let path = path(of: key)
        try storing {
            try Directory.remove(Self.sidePath(path))
            try Directory.remove(path)
        }
    }

    package func keys(startingWith prefix: UInt8) throws(BlobStoreError) -> Set<BlobKey> {
        var keys: Set<BlobKey> = []
        let folder = "\(directory)/\(Hex.encode([prefix]))"
        do throws(DiskError) {
            try Directory.entries(folder) { name in
                if let key = BlobKey(name.prefix(BlobKey.textBytes)) { keys.insert(key) }
            }
        } catch {
            guard error.kind == .notFound else { throw BlobStoreError(.io, "\(error)", cause: error) }
        }
        return keys
    }

    package func idleTime(of key: BlobKey) throws(BlobStoreError) -> Duration? {
        try storing {
            let path = path(of: key)
            guard let status = try FileStatus.of(path) ?? FileStatus.of(Self.sidePath(path)) else { return nil }
            return .nanoseconds(WallClock.nanoseconds - status.modificationTime)
        }
    }

    package func checkSpace(for additionalBytes: Int64) throws(BlobStoreError) {
        if volume.isSuspect { throw BlobStoreError(.io, "\(directory) failed to sync; restart after repair") }
        let available = try storing { try Directory.freeBytes(directory).available }
        guard available - reserveBytes >= additionalBytes else {
            throw BlobStoreError(
                .outOfSpace, "\(available) bytes free, \(reserveBytes) in reserve, \(additionalBytes) asked for")
        }
    }

    private func openNew(_ key: BlobKey, _ mode: File.Mode) throws(DiskError) -> File {
        do throws(DiskError) {
            return try File.open(path(of: key), mode)
        } catch {
            guard error.kind == .notFound else { throw error }
            try Directory.create(folder(of: key))
            return try File.open(path(of: key), mode)
        }
    }

    private func folder(of key: BlobKey) -> String { "\(directory)/\(key.text.prefix(2))" }
    private func path(of key: BlobKey) -> String { "\(folder(of: key))/\(key.text)" }
    static func sidePath(_ path: String) -> String { path + ".pieces" }
}

/// How often syncing has failed on the volume.
final class VolumeHealth: Sendable {
    private let syncFailureCount = Atomic(0)

    var isSuspect: Bool { syncFailureCount.load(ordering: .relaxed) >= FileBlobStore.syncFailureCountMax }
    func syncFailed() { syncFailureCount.add(1, ordering: .relaxed) }
}

/// Runs file calls, turning their errors into the store's.
func storing<Value>(_ body: () throws -> Value) throws(BlobStoreError) -> Value {
    do { return try body() } catch {
        let isOutOfSpace = (error as? DiskError)?.kind == .outOfSpace
        throw BlobStoreError(isOutOfSpace ? .outOfSpace : .io, "\(error)", cause: error)
    }
}
