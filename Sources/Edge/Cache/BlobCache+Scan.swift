// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Logging
import OCI
import Synchronization
import Telemetry

/// Finding out what is on disk after a start: names only, no file is opened, and only partial ones are looked at.
/// Serving does not wait for it.
extension BlobCache {
    /// Folders that are read at once: a cold folder waits for the disk, and a million names keep one core busy for a
    /// second or two.
    private static let scannerCount = 2
    /// Names that enter the index while its lock is held: requests wait for this lock.
    private static let batchCount = 256

    /// Finds out what is on disk, then keeps the cache in order: probes a disk that is off, scrubs, notes order and uses
    /// of the blobs for the next start. Ends when the task is cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await self.keepProbing() }
            tasks.addTask {
                await self.start()
                await withTaskGroup(of: Void.self) { tasks in
                    tasks.addTask { await self.keepScrubbing() }
                    tasks.addTask { await self.keepHints() }
                }
            }
        }
    }

    /// Reads the names in the cache's directories, folder by folder on the disk pool, while others are served; returns
    /// when the index is complete. What it finds counts as used before everything that is used meanwhile, in the order
    /// that the last run noted. Files that belong to no blob are removed; names that the cache did not make are left
    /// alone.
    package func start() async {
        let begun = configuration.now()
        await withTaskGroup(of: Void.self) { tasks in
            for scanner in 0..<Self.scannerCount {
                tasks.addTask { [self] in
                    for index in stride(from: scanner, to: CachePaths.folders.count, by: Self.scannerCount) {
                        await scan(CachePaths.folders[index])
                    }
                }
            }
        }
        await restoreHints()
        // The maximum may be lower than it was.
        _ = try? await pool.run { [self] in evict(downTo: configuration.bytesMax) }
        publishGauges()
        environment.logger.info(
            "the cache's index is complete",
            metadata: ["blobs": "\(blobCount)", "seconds": "\((configuration.now() - begun) / .seconds(1))"])
    }

    private func scan(_ folder: String) async {
        do {
            try await pool.run { [self] in
                try scanComplete("\(environment.paths.complete)/\(folder)")
                try scanPartial("\(environment.paths.partial)/\(folder)")
            }
        } catch {
            environment.logger.error(
                "a folder of the cache cannot be read", metadata: ["folder": "\(folder)", "error": "\(error)"])
        }
    }

    private func scanComplete(_ folder: String) throws(DiskError) {
        var batch: [BlobName] = []
        batch.reserveCapacity(Self.batchCount)
        try names(in: folder) { bytes in
            guard let name = BlobName(utf8: bytes) else { return }
            batch.append(name)
            if batch.count == Self.batchCount {
                foundComplete(batch)
                batch.removeAll(keepingCapacity: true)
            }
        }
        foundComplete(batch)
    }

    private func foundComplete(_ names: [BlobName]) {
        table.withLock { table in
            for name in names { table.found(name, storedBytes: name.sizeBytes) }
        }
    }

    private func scanPartial(_ folder: String) throws(DiskError) {
        var halves: [BlobName: (hasData: Bool, hasMap: Bool)] = [:]
        try names(in: folder) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            if text.hasSuffix(CachePaths.dataSuffix), let name = BlobName(text.dropLast(CachePaths.dataSuffix.count)) {
                halves[name, default: (false, false)].hasData = true
            } else if text.hasSuffix(CachePaths.mapSuffix),
                let name = BlobName(text.dropLast(CachePaths.mapSuffix.count))
            {
                halves[name, default: (false, false)].hasMap = true
            }
        }
        for (name, half) in halves {
            if half.hasData && half.hasMap {
                guard let status = try FileStatus.of(environment.paths.dataFile(name)) else { continue }
                let storedBytes = min(status.allocatedBytes, name.sizeBytes)
                table.withLock { $0.found(name, storedBytes: storedBytes) }
            } else if table.withLock({ $0.beganSweeping(name.digest) }) {
                sweepPartial(name)
                endedRemoving(name.digest)
            }
        }
    }

    /// Half of a partial blob: what a commit leaves when the process ends right after its rename, or a creation that was
    /// not finished.
    private func sweepPartial(_ name: BlobName) {
        for path in [environment.paths.dataFile(name), environment.paths.mapFile(name)] {
            _ = try? Directory.remove(path)
        }
    }

    private func names(in folder: String, _ body: (UnsafeBufferPointer<UInt8>) -> Void) throws(DiskError) {
        do throws(DiskError) {
            try Directory.entryBytes(folder, body)
        } catch {
            // Folders are made when they are first needed.
            guard error.kind == .notFound else { throw error }
        }
    }
}
