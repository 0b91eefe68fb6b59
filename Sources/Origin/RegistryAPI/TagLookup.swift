// SPDX-License-Identifier: Apache-2.0

import OCI
import OriginMetadata
import Synchronization

/// Asks PostgreSQL what tags point at, many requests by one statement: while one is on its way, those that come gather
/// for the next. Each request is answered by a statement that began after it came, so that it sees every push that was
/// acknowledged before.
final class TagLookup: Sendable {
    private typealias Answer = Result<Digest?, DatabaseError>

    /// - Note: As many as requests run, which the listener bounds.
    private struct State {
        var waiting: [TagKey: [CheckedContinuation<Answer, Never>]] = [:]
        var isAsking = false
    }

    private let database: Database
    private let state = Mutex(State())

    init(database: Database) { self.database = database }

    /// - Returns: `nil` if there is no such tag.
    func digest(of key: TagKey) async throws(DatabaseError) -> Digest? {
        let answer: Answer = await withCheckedContinuation { continuation in
            let isFirst = state.withLock { state in
                state.waiting[key, default: []].append(continuation)
                defer { state.isAsking = true }
                return !state.isAsking
            }
            // Of its own: whoever asked first may hang up, and the others are still answered.
            if isFirst { Task { await self.ask() } }
        }
        return try answer.get()
    }

    private func ask() async {
        while let batch = nextBatch() {
            let answer: Result<[TagKey: Digest], DatabaseError>
            do throws(DatabaseError) {
                answer = .success(try await database.taggedDigests(Array(batch.keys)))
            } catch {
                answer = .failure(error)
            }
            for (key, continuations) in batch {
                for continuation in continuations { continuation.resume(returning: answer.map { $0[key] }) }
            }
        }
    }

    private func nextBatch() -> [TagKey: [CheckedContinuation<Answer, Never>]]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isAsking = false
                return nil
            }
            defer { state.waiting = [:] }
            return state.waiting
        }
    }
}
