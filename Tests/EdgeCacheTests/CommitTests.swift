// SPDX-License-Identifier: Apache-2.0

import Blocking
import EdgeCache
import Foundation
import Testing

/// Commits beside what else may happen to a blob's files.
@Suite(.timeLimit(.minutes(1)))
struct CommitTests {
    private static let blob = TestBlob(byteCount: 8 << 20)

    /// A commit syncs for milliseconds to seconds. Found damaged meanwhile, the blob goes, and its name may belong to the
    /// file of the next fill by the time of the rename.
    @Test("a commit that is late does not take the file of the blob's next fill", arguments: 0..<20)
    func lateCommit(round: Int) async throws {
        let blob = Self.blob
        let fixture = try CacheFixture()
        let old = try fixture.partial(blob, pieces: Array(0..<8))
        async let commit: Void = fixture.pool.run { fixture.cache.commit(old) }
        // At another moment of the commit each time.
        for _ in 0..<(round * 400) { await Task.yield() }
        fixture.cache.discard(old)
        // Waits until nobody is at work on the files any more.
        #expect(try await fixture.open(blob) == nil)
        let new = try fixture.partial(blob)
        try await commit
        let isOnDisk = FileManager.default.fileExists(atPath: fixture.partialPath(blob, ".data"))
        let isCalledComplete = FileManager.default.fileExists(atPath: fixture.completePath(blob))
        #expect(isOnDisk && !isCalledComplete)
        for piece in 0..<8 { _ = try fixture.store(blob, piece, in: new) }
        fixture.cache.commit(new)
        #expect(new.isComplete)
        #expect(FileManager.default.fileExists(atPath: fixture.completePath(blob)))
        #expect(try await fixture.read(new) == blob.bytes)
    }
}
