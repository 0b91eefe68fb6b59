// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Hashing
import Logging
import OCI
import Synchronization
import Telemetry

/// The files of single blobs: opening, making, committing, unlinking. What blocks here runs on the disk pool, commits on
/// a thread of their own.
extension BlobCache {
    private var paths: CachePaths { environment.paths }

    func makeDirectories() throws(CacheError) {
        do throws(DiskError) {
            try Directory.create(paths.complete)
            try Directory.create(paths.partial)
        } catch {
            throw CacheError(error)
        }
    }

    // MARK: Opening

    /// - Returns: `nil` if there is no file, or only one that is damaged beyond single pieces; that one is removed.
    func load(_ name: BlobName) throws(CacheError) -> CachedBlob? {
        do throws(DiskError) {
            if let blob = try loadComplete(name) { return blob }
            return try loadPartial(name)
        } catch {
            throw CacheError(error)
        }
    }

    private func loadComplete(_ name: BlobName) throws(DiskError) -> CachedBlob? {
        let path = paths.completeFile(name)
        guard let file = try File.openIfExists(path, .readWrite) else { return nil }
        guard let (pieces, changeTime) = try readTrailer(of: file, name) else {
            damaged(path)
            try Directory.remove(path)
            return nil
        }
        return CachedBlob(
            name: name, pieces: pieces, file: file, map: nil, present: PieceSet(allOf: pieces.count), isSuspect: false,
            changeTime: changeTime, environment: environment)
    }

    private func loadPartial(_ name: BlobName) throws(DiskError) -> CachedBlob? {
        let (dataPath, mapPath) = (paths.dataFile(name), paths.mapFile(name))
        guard let file = try File.openIfExists(dataPath, .readWrite) else { return nil }
        guard
            let (pieces, changeTime) = try readTrailer(of: file, name),
            let mapFile = try File.openIfExists(mapPath, .readWrite),
            let map = try readMap(mapFile, name)
        else {
            damaged(dataPath)
            unlinkFiles(name)
            return nil
        }
        let isSuspect = map.bootID != environment.bootID
        return CachedBlob(
            name: name, pieces: pieces, file: file, map: mapFile, present: map.present, isSuspect: isSuspect,
            changeTime: changeTime, environment: environment)
    }

    /// Read-ahead is switched off before the first read, so that nothing unchecked comes into memory beside it.
    private func readTrailer(of file: File, _ name: BlobName) throws(DiskError) -> (PieceList, changeTime: Int64)? {
        try file.adviseRandom()
        let status = try file.status()
        let byteCount = BlobTrailer.byteCount(forBlobOf: name.sizeBytes)
        guard status.isRegularFile, status.linkCount > 0, status.sizeBytes == name.sizeBytes + byteCount else {
            return nil
        }
        let bytes = try read(file, byteCount: Int(byteCount), at: name.sizeBytes)
        guard let pieces = BlobTrailer.decode(bytes, digest: name.digest, sizeBytes: name.sizeBytes) else { return nil }
        return (pieces, status.changeTime)
    }

    private func readMap(_ file: File, _ name: BlobName) throws(DiskError) -> PartialMap? {
        let byteCount = PartialMap.byteCount(forBlobOf: name.sizeBytes)
        guard try file.status().sizeBytes == Int64(byteCount) else { return nil }
        return PartialMap.decode(
            try read(file, byteCount: byteCount, at: 0), digest: name.digest, sizeBytes: name.sizeBytes)
    }

    private func read(_ file: File, byteCount: Int, at offset: Int64) throws(DiskError) -> [UInt8] {
        var failure: DiskError?
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, initializedCount in
            do throws(DiskError) {
                initializedCount = try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    private func damaged(_ path: String) {
        environment.metrics.damagedFiles.add(1)
        environment.logger.warning("removing a damaged cache file", metadata: ["file": "\(path)"])
    }

    // MARK: Making

    /// The data file has its final size and its trailer from the start, so that its size never changes and the commit is
    /// a rename.
    func make(_ name: BlobName, _ pieces: PieceList) throws(CacheError) -> CachedBlob {
        // Only a look whether the first piece would have room: each piece takes its own.
        let firstBytes = min(name.sizeBytes, PieceList.pieceBytes)
        try takeRoom(forBytes: firstBytes)
        defer { giveBackRoom(forBytes: firstBytes) }
        do throws(DiskError) {
            // A reader waits, and a partial blob may be gone after a power cut.
            try Directory.create(paths.partialFolder(name), isDurable: false)
            unlinkFiles(name)
            let file = try File.open(paths.dataFile(name), .createExclusive)
            let map = try File.open(paths.mapFile(name), .createExclusive)
            try file.adviseRandom()
            let present = PieceSet(pieceCount: pieces.count)
            try write(
                PartialMap(bootID: environment.bootID, present: present)
                    .encode(digest: name.digest, sizeBytes: name.sizeBytes),
                to: map, at: 0)
            try write(
                BlobTrailer.encode(pieces, digest: name.digest, sizeBytes: name.sizeBytes), to: file, at: name.sizeBytes
            )
            return CachedBlob(
                name: name, pieces: pieces, file: file, map: map, present: present, isSuspect: false, isFetched: true,
                changeTime: try file.status().changeTime, environment: environment)
        } catch {
            unlinkFiles(name)
            let failure = CacheError(error)
            failedToWrite(failure)
            throw failure
        }
    }

    private func write(_ bytes: [UInt8], to file: File, at offset: Int64) throws(DiskError) {
        let result: Result<Void, DiskError> = bytes.withUnsafeBytes { buffer in
            Result { () throws(DiskError) in try file.write(buffer, at: offset) }
        }
        try result.get()
    }

    // MARK: Committing

    /// Commits on a thread of its own, in order. Never blocks. What finds no place, or is closed before its turn, is
    /// committed when it is next opened; what is evicted before its turn needs no commit.
    package func commitLater(_ blob: CachedBlob) {
        try? commits.submit { [self, weak blob] in if let blob { commit(blob) } }
    }

    /// Makes a blob whose pieces are all on disk a complete one: sync, then rename. Blocks. If that fails, the blob is
    /// served on from where it is, and the files go when its name is next looked up or the cache is started.
    package func commit(_ blob: CachedBlob) {
        // A sync would fail; what cannot be called complete is served from where it is.
        guard !health.withLock({ $0.isOff }), table.withLock({ $0.beganCommit(blob) }) else { return }
        let name = blob.name
        defer { if table.withLock({ $0.endedCommit(blob) }) { removeFiles(name) } }
        // What the last run of the kernel left has to be right before it is called complete.
        if blob.isSuspect { for piece in blob.uncheckedPieces { blob.checkNow(piece) } }
        guard blob.present.isFull else { return }
        do throws(DiskError) {
            try blob.file.syncData()
            try Directory.create(paths.completeFolder(name))
            try blob.withOwnRename { () throws(DiskError) in
                try Directory.rename(paths.dataFile(name), paths.completeFile(name))
            }
            try Directory.sync(paths.completeFolder(name))
        } catch {
            environment.logger.warning(
                "a blob could not be committed", metadata: ["blob.digest": "\(name.digest)", "error": "\(error)"])
            failedToWrite(CacheError(error))
            discard(blob)
            return
        }
        blob.markComplete()
        environment.metrics.completedBlobs.add(1)
        // A map without its data is swept at the next start.
        _ = try? Directory.remove(paths.mapFile(name))
    }

    // MARK: Removing

    /// What cannot be unlinked is found again by the next scan.
    func unlinkFiles(_ name: BlobName) {
        for path in [paths.completeFile(name), paths.dataFile(name), paths.mapFile(name)] {
            do throws(DiskError) {
                try Directory.remove(path)
            } catch {
                environment.logger.warning("a cache file cannot be removed", metadata: ["error": "\(error)"])
            }
        }
    }
}
