// SPDX-License-Identifier: Apache-2.0

import Blocking
import Disk
import Logging
import Synchronization
import Telemetry

/// Switching the disk off when it fails to write, and on again; see `DiskHealth`.
extension BlobCache {
    /// - Throws: `.io` while the disk is off.
    func requireHealthyDisk() throws(CacheError) {
        guard health.withLock({ $0.isOff }) else { return }
        throw CacheError(kind: .io, message: "the cache's disk is off after repeated write errors")
    }

    /// Any error of a creation, a store or a commit; those that say nothing about the device are passed over.
    func failedToWrite(_ error: CacheError) {
        guard error.isDeviceFault, health.withLock({ $0.failedToWrite() }) == .turnedOff else { return }
        environment.metrics.diskOff.set(1)
        environment.logger.error(
            "the cache's disk is off: nothing is stored until a write succeeds", metadata: ["error": "\(error)"])
    }

    /// While the disk is off, tries it again and again. Ends when the task is cancelled.
    package func keepProbing() async {
        while true {
            do { try await configuration.pause(DiskHealth.probePause) } catch { return }
            guard health.withLock({ $0.isOff }) else { continue }
            // A full pool is asked again at the next time.
            _ = try? await pool.run { [self] in probeDisk() }
        }
    }

    /// Writes a small file as a creation does, and removes it. Blocks.
    private func probeDisk() {
        let path = environment.paths.probeFile
        var isGood = true
        do throws(DiskError) {
            try AtomicFile.write([0], to: path)
            try Directory.remove(path)
        } catch {
            // A full disk takes no file and is not sick.
            isGood = error.kind == .outOfSpace
        }
        guard health.withLock({ $0.probed(isGood: isGood) }) == .turnedOn else { return }
        environment.metrics.diskOff.set(0)
        environment.logger.notice("the cache's disk takes writes again")
    }
}
