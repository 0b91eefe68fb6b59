// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Logging
import Synchronization

/// Order and uses of the blobs outlive the process; see `HintFile`.
extension BlobCache {
    private static let hintPause = Duration.seconds(60)
    /// Entries that are read while the table's lock is held.
    private static let hintBatchCount: EvictionQueue.Handle = 4096

    /// Ends when the task is cancelled.
    package func keepHints() async {
        var notedChangeCount: UInt64?
        while true {
            do { try await configuration.pause(Self.hintPause) } catch { return }
            let changeCount = table.withLock { $0.queue.changeCount }
            guard changeCount != notedChangeCount, !health.withLock({ $0.isOff }) else { continue }
            notedChangeCount = changeCount
            // A full pool is asked again at the next time.
            _ = try? await pool.run { [self] in writeHints() }
        }
    }

    /// Not all at once: what moves meanwhile may be noted where it was, or twice, or not at all. Blocks.
    package func writeHints() {
        var hints: [EvictionQueue.Hint] = []
        var handle: EvictionQueue.Handle = 0
        while true {
            let (batch, end) = table.withLock { table in
                (table.queue.hints(of: handle..<handle + Self.hintBatchCount), table.queue.handleEnd)
            }
            hints += batch
            handle += Self.hintBatchCount
            if handle >= end { break }
        }
        hints.sort { $0.order < $1.order }
        do throws(DiskError) {
            try AtomicFile.write(HintFile.encode(hints), to: environment.paths.hintsFile)
        } catch {
            environment.logger.info("the order of the cache's blobs is not noted", metadata: ["error": "\(error)"])
        }
    }

    /// For blobs that the scan found and nobody has used since.
    func restoreHints() async {
        _ = try? await pool.run { [self] in
            sweepUnfinishedHints()
            let path = environment.paths.hintsFile
            guard
                // The buffer is as large as the file may be.
                let sizeBytes = try? FileStatus.of(path)?.sizeBytes, sizeBytes <= HintFile.bytesMax,
                let bytes = try? AtomicFile.read(path, bytesMax: Int(sizeBytes)),
                let hints = HintFile.decode(bytes)
            else { return }
            var end = hints.count
            while end > 0 {
                let start = max(0, end - 256)
                let batch = hints[start..<end].reversed()
                table.withLock { $0.restore(batch) }
                end = start
            }
        }
    }

    /// What a process that was killed while it wrote left beside the file.
    private func sweepUnfinishedHints() {
        var names: [String] = []
        try? Directory.entries(configuration.directory) { name in
            if name.hasPrefix("hints.") && name.hasSuffix(".tmp") { names.append(name) }
        }
        for name in names { _ = try? Directory.remove("\(configuration.directory)/\(name)") }
    }
}
