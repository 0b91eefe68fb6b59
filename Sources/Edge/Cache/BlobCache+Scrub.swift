// SPDX-License-Identifier: Apache-2.0

import Blocking
import Hashing
import Logging
import Synchronization
import Telemetry

/// The background scrub: reads blobs that nobody uses from the device, round and round, and checks their pieces, so that
/// what rotted there is found before a client waits for it. A wrong piece is absent from then on; its next reader has it
/// fetched.
///
/// Slow on purpose: one piece at a time, at most `scrubBytesPerSecond`, and not while others queue for the disk pool.
extension BlobCache {
    /// A blob that somebody used within this time is left alone: its pages may be on their way to a socket.
    static let scrubQuietTime = Duration.seconds(60)
    /// Jobs that wait for the pool, from which on the scrub waits too.
    private static var busyQueueCount: Int { 8 }
    /// How long an empty cache, a round without a candidate, or a busy pool is waited for.
    private static var restTime: Duration { .seconds(5) }

    /// Ends when the task is cancelled.
    package func keepScrubbing() async {
        guard configuration.scrubBytesPerSecond > 0 else { return }
        var pace = ScrubPace(bytesPerSecond: configuration.scrubBytesPerSecond)
        // Not always the same blobs first: a process may not live for a whole round.
        var cursor = table.withLock { $0.queue.handleEnd }
        cursor = cursor == 0 ? 0 : .random(in: 0..<cursor)
        while true {
            let (name, next) = table.withLock { [cursor] in $0.nextIdle(from: cursor) }
            cursor = next ?? 0
            if let name {
                guard await scrub(name, &pace) else { return }
            } else if next == nil {
                guard await rest(Self.restTime) else { return }
            }
        }
    }

    /// - Returns: Whether to go on.
    private func rest(_ time: Duration) async -> Bool {
        do { try await configuration.pause(time) } catch { return false }
        while pool.queuedCount >= Self.busyQueueCount {
            do { try await configuration.pause(Self.restTime) } catch { return false }
        }
        return true
    }

    /// - Returns: Whether to go on.
    private func scrub(_ name: BlobName, _ pace: inout ScrubPace) async -> Bool {
        guard await rest(pace.read(ScrubPace.openingBytes, at: configuration.now())) else { return false }
        let wasOpen = openedBlob(name.digest, sizeBytes: name.sizeBytes)
        var found = wasOpen
        if found == nil { found = await opened(name) }
        guard let blob = found else { return true }
        var isDamaged = false
        defer { finishScrub(blob, staysOpen: wasOpen != nil || isDamaged) }
        // What the last run of the kernel left is checked before it is called complete, and not by two at once.
        guard blob.isComplete || !blob.isSuspect else { return true }
        for piece in 0..<blob.pieces.count {
            // If somebody uses the blob now, it gets its turn in the next round.
            guard let isRight = try? await pool.run({ [self] in scrubNow(blob, piece) }) else { return true }
            isDamaged = isDamaged || !isRight
            let range = blob.pieces.range(of: piece)
            guard await rest(pace.read(range.upperBound - range.lowerBound, at: configuration.now())) else {
                return false
            }
        }
        return true
    }

    private func opened(_ name: BlobName) async -> CachedBlob? {
        await withCheckedContinuation { continuation in
            open(name.digest, sizeBytes: name.sizeBytes) { continuation.resume(returning: try? $0.get()) }
        }
    }

    /// Disk pool.
    /// - Returns: Whether the piece is right, also if it is not there; `nil` if the blob is in use.
    private func scrubNow(_ blob: CachedBlob, _ piece: Int) -> Bool? {
        guard blob.present.contains(piece) else { return true }
        let quietSince = configuration.now() - Self.scrubQuietTime
        guard table.withLock({ $0.beganScrub(blob, piece, idleSince: quietSince) }) else { return nil }
        environment.metrics.scrubbedPieces.add(1)
        let isRight = blob.scrub(piece)
        if !isRight { environment.metrics.scrubMismatches.add(1) }
        return isRight
    }

    /// A blob that only the scrub has opened is closed again, lest it take the place of one that clients use; but not if
    /// a piece is wrong, for an open blob knows that and a closed one has to find it out again.
    private func finishScrub(_ blob: CachedBlob, staysOpen: Bool) {
        drop(table.withLock { $0.released(blob, at: nil) })
        guard !staysOpen, let closed = table.withLock({ $0.close(blob) }) else { return }
        drop([closed])
    }
}
