// SPDX-License-Identifier: Apache-2.0

import Blocking
import Hashing
import Logging
import OCI
import OriginBlobStore
import OriginMetadata
import Synchronization

/// Two files of one digest: the one that it points at, and the one that a later push brought.
struct Twin: Sendable {
    let digest: Digest
    let sizeBytes: Int64
    let incumbent: BlobKey
    let newcomer: BlobKey
}

/// Twins that wait for their comparison: one of a digest, and of all together not more than the disk can spare for a
/// moment. Where there is no room the newcomer goes unread; the next push is another chance.
final class IncumbentQueue: Sendable {
    private static let (countMax, bytesMax): (Int, Int64) = (64, 64 << 30)

    private struct State {
        var digests: Set<Digest> = []
        var bytes: Int64 = 0
    }

    private let state = Mutex(State())
    private let continuation: AsyncStream<Twin>.Continuation
    /// For one consumer, who calls `finished` for each.
    let twins: AsyncStream<Twin>

    init() { (twins, continuation) = AsyncStream.makeStream() }

    /// - Returns: `false` if there is no room; nothing is going to happen to the twin then.
    func append(_ twin: Twin) -> Bool {
        let isAdmitted = state.withLock { state in
            let isFull = state.digests.count >= Self.countMax || state.bytes > Self.bytesMax - twin.sizeBytes
            guard !isFull || state.digests.isEmpty, state.digests.insert(twin.digest).inserted else { return false }
            state.bytes += twin.sizeBytes
            return true
        }
        if isAdmitted { continuation.yield(twin) }
        return isAdmitted
    }

    func finished(_ twin: Twin) {
        state.withLock { state in
            state.digests.remove(twin.digest)
            state.bytes -= twin.sizeBytes
        }
    }
}

/// A push of bytes that are stored already is the chance to find out whether they still are. It must not cost the
/// client time: the answer goes out first, and one comparison runs at a time. A crash before its end leaves the newcomer
/// as an orphan.
extension UploadService {
    /// Pieces read and hashed at a stretch by one job of the disk pool, so that others get their turn.
    private static let piecesPerJob = 16

    /// Compares twins as they come, until cancelled.
    func checkIncumbents() async {
        for await twin in incumbents.twins {
            await settle(twin)
            incumbents.finished(twin)
        }
    }

    /// Removes the newcomer if the stored file is right, and puts it in the place of one that is not.
    private func settle(_ twin: Twin) async {
        do {
            if try await isRight(twin) {
                await remove(twin.newcomer)
                return
            }
            logger.error(
                "damaged blob replaced",
                metadata: ["blob.digest": "\(twin.digest)", "blob.key": "\(twin.incumbent)"])
            // No link is made: meanwhile the blob may have been deleted from the repository of the push.
            let isReplaced = try await database.replaceFile(
                of: twin.digest, twin.incumbent.text, with: twin.newcomer.text)
            if !isReplaced { await remove(twin.newcomer) }
        } catch {
            // The newcomer stays: an orphan if nothing points at it.
            logger.error(
                "stored blob not checked", metadata: ["error": "\(error)", "blob.digest": "\(twin.digest)"])
        }
    }

    /// Whether the incumbent's bytes are those of the newcomer's pieces, which were computed as they arrived.
    private func isRight(_ twin: Twin) async throws -> Bool {
        let pieces = try await diskPool.run { [store] in
            try store.pieces(twin.newcomer, digest: twin.digest, sizeBytes: twin.sizeBytes)
        }
        guard let pieces else { throw BlobStoreError(.damaged, "\(twin.newcomer) has no piece list") }
        do {
            guard let stored = try await diskPool.run({ [store] in try store.open(twin.incumbent) }),
                stored.sizeBytes == twin.sizeBytes
            else { return false }
            for first in stride(from: 0, to: pieces.count, by: Self.piecesPerJob) {
                let isRight = try await diskPool.run {
                    try Self.matches(stored, pieces, first..<min(first + Self.piecesPerJob, pieces.count))
                }
                if !isRight { return false }
            }
            return true
        } catch let error as BlobStoreError {
            // A file that cannot be read is no better than one that is wrong.
            logger.error("stored blob not readable", metadata: ["error": "\(error)", "blob.key": "\(twin.incumbent)"])
            return false
        }
    }

    private static func matches(_ blob: StoredBlob, _ pieces: PieceList, _ range: Range<Int>) throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: Int(PieceList.pieceBytes))
        for index in range {
            let bytes = pieces.range(of: index)
            let isRight = try buffer.withUnsafeMutableBytes { buffer in
                let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
                let count = try blob.read(into: wanted, at: bytes.lowerBound)
                return count == wanted.count && pieces.matches(UnsafeRawBufferPointer(wanted), piece: index)
            }
            if !isRight { return false }
        }
        return true
    }
}
