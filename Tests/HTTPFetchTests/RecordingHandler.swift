// SPDX-License-Identifier: Apache-2.0

import HTTPFetch
import LoopbackServer
import Synchronization

/// Keeps what a fetcher reports, and pauses or aborts when told.
final class RecordingHandler: FetchHandler {
    struct Record: Sendable {
        var head: FetchHead?
        var body: [UInt8] = []
        var pieceCounts: [Int] = []
        var endCount = 0
        var result: Result<Void, FetchError>?
        var isPausing = false
        var offeredWhilePaused = 0
    }

    private let state: Mutex<Record>
    private let acceptsHead: Bool
    private let abortsBody: Bool
    let gotHead = Gate()
    let gotBody = Gate()
    let paused = Gate()
    let ended = Gate()

    init(acceptsHead: Bool = true, abortsBody: Bool = false, isPausing: Bool = false) {
        self.acceptsHead = acceptsHead
        self.abortsBody = abortsBody
        state = Mutex(Record(isPausing: isPausing))
    }

    var record: Record { state.withLock { $0 } }

    func stopPausing() { state.withLock { $0.isPausing = false } }

    /// The error that ended it; `nil` for success.
    func failure() async -> FetchError? {
        await ended.passed()
        guard case .failure(let error) = record.result else { return nil }
        return error
    }

    func fetchReceivedHead(_ head: FetchHead) -> Bool {
        state.withLock { $0.head = head }
        gotHead.open()
        return acceptsHead
    }

    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        if abortsBody { return .abort }
        let flow: FetchFlow = state.withLock { record in
            guard !record.isPausing else {
                record.offeredWhilePaused += 1
                return .pause
            }
            record.body.append(contentsOf: bytes)
            record.pieceCounts.append(bytes.count)
            return .proceed
        }
        flow == .pause ? paused.open() : gotBody.open()
        return flow
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        state.withLock { record in
            record.endCount += 1
            record.result = result
        }
        ended.open()
    }
}
