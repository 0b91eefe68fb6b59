// SPDX-License-Identifier: Apache-2.0

import Blocking
import Hashing
import Logging
import OCI
import OriginBlobStore

/// Two files of one digest: the one that it points at, and the one that a later push brought.
struct Twin: Sendable {
    let digest: Digest
    let sizeBytes: Int64
    let incumbent: BlobKey
    let newcomer: BlobKey
    /// Of the push.
    let repositoryID: Int64
}

/// Twins that wait for their comparison. When it is full the newcomer goes unread: the scrub finds damage too, later.
final class IncumbentQueue: Sendable {
    private static let countMax = 64

    private let twins: AsyncStream<Twin>
    private let continuation: AsyncStream<Twin>.Continuation

    init() {
        (twins, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.countMax))
    }

    /// - Returns: `false` if there is no room; nothing is going to happen to the twin then.
    func append(_ twin: Twin) -> Bool {
        if case .enqueued = continuation.yield(twin) { return true }
        return false
    }

    /// For one consumer.
    var all: AsyncStream<Twin> { twins }
}

/// A push of bytes that are stored already is the chance to find out whether they still are. It must not cost the
/// client time: the answer goes out first, and one comparison runs at a time. A crash before its end leaves the newcomer
/// as an orphan.
extension UploadService {
    /// Pieces read and hashed at a stretch by one job of the disk pool, so that others get their turn.
    private static let piecesPerJob = 16

    /// Compares twins as they come, until cancelled.
    func checkIncumbents() async {
        for await twin in incumbents.all { await settle(twin) }
    }

    /// Removes the newcomer if the stored file is right, and puts it in the place of one that is not.
    func settle(_ twin: Twin) async {
        do {
            if try await isRight(twin) {
                await remove(twin.newcomer)
                return
            }
            logger.error(
                "damaged blob replaced",
                metadata: ["blob.digest": "\(twin.digest)", "blob.key": "\(twin.incumbent)"])
            let key = try await record(
                twin.digest, twin.newcomer, twin.sizeBytes, in: twin.repositoryID, nil, replacing: twin.incumbent)
            if key != twin.newcomer { await remove(twin.newcomer) }
        } catch {
            // The newcomer stays: an orphan if nothing points at it.
            logger.error(
                "stored blob not checked", metadata: ["error": "\(error)", "blob.digest": "\(twin.digest)"])
        }
    }

    /// Whether the incumbent's bytes are those of the newcomer's pieces, which were computed as they arrived.
    private func isRight(_ twin: Twin) async throws -> Bool {
        let opened = try await diskPool.run { [store] in
            (
                try store.pieces(twin.newcomer, digest: twin.digest, sizeBytes: twin.sizeBytes),
                try store.open(twin.incumbent)
            )
        }
        guard let pieces = opened.0 else { throw BlobStoreError(.damaged, "\(twin.newcomer) has no piece list") }
        guard let stored = opened.1, stored.sizeBytes == twin.sizeBytes else { return false }
        for first in stride(from: 0, to: pieces.count, by: Self.piecesPerJob) {
            let isRight = try await diskPool.run {
                try Self.matches(stored, pieces, first..<min(first + Self.piecesPerJob, pieces.count))
            }
            if !isRight { return false }
        }
        return true
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
