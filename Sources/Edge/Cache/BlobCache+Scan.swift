// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Logging
import Synchronization
import Telemetry

/// Finding out what is on disk after a start: names only, no file is opened. Serving does not wait for it.
extension BlobCache {
    /// Reads the names in the cache's directories, folder by folder on the disk pool, while others are served; returns
    /// when the index is complete. What it finds counts as used before everything that is used meanwhile. Files that
    /// belong to no blob are removed; names that the cache did not make are left alone.
    package func start() async {
        for folder in CachePaths.folders {
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
        // The maximum may be lower than it was.
        _ = try? await pool.run { [self] in evict(incomingBytes: 0, missingBytes: 0) }
        publishGauges()
    }

    private func scanComplete(_ folder: String) throws(DiskError) {
        let names = try names(in: folder).compactMap { BlobName($0) }
        // Not all at once: requests wait for this lock.
        for start in stride(from: 0, to: names.count, by: 256) {
            table.withLock { table in
                for name in names[start..<min(start + 256, names.count)] {
                    table.found(name, storedBytes: name.sizeBytes, isComplete: true)
                }
            }
        }
    }

    private func scanPartial(_ folder: String) throws(DiskError) {
        var halves: [BlobName: (hasData: Bool, hasMap: Bool)] = [:]
        for text in try names(in: folder) {
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
                table.withLock { $0.found(name, storedBytes: storedBytes, isComplete: false) }
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

    private func names(in folder: String) throws(DiskError) -> [String] {
        var names: [String] = []
        do throws(DiskError) {
            try Directory.entries(folder) { names.append($0) }
        } catch {
            // Folders are made when they are first needed.
            guard error.kind == .notFound else { throw error }
        }
        return names
    }
}
