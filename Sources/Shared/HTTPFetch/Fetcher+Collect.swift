// SPDX-License-Identifier: Apache-2.0

import Synchronization

extension Fetcher {
    /// Runs a request and gathers its whole answer in memory.
    ///
    /// - Parameter bodyBytesMax: A longer body is `.tooLarge`; it also holds against the request's own limit.
    /// - Throws: Whatever ends the request. Cancelling the task ends it with `.cancelled`, and its connection is closed.
    package func collect(_ request: FetchRequest, bodyBytesMax: Int) async throws(FetchError) -> FetchResponse {
        var request = request
        request.bodyBytesMax = min(request.bodyBytesMax, Int64(bodyBytesMax))
        let collector = Collector()
        let handle = try start(request, handler: collector)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { collector.wait($0) }
        } onCancel: {
            handle.cancel()
        }
        return try result.get()
    }
}

/// Gathers one answer, and meets the task that waits for it.
private final class Collector: FetchHandler {
    typealias Answer = Result<FetchResponse, FetchError>

    private struct State {
        var head: FetchHead?
        var body: [UInt8] = []
        var answer: Answer?
        var waiter: CheckedContinuation<Answer, Never>?
    }

    private let state = Mutex(State())

    func wait(_ continuation: CheckedContinuation<Answer, Never>) {
        let answer: Answer? = state.withLock { state in
            if state.answer == nil { state.waiter = continuation }
            return state.answer
        }
        if let answer { continuation.resume(returning: answer) }
    }

    func fetchReceivedHead(_ head: FetchHead) -> Bool {
        state.withLock { $0.head = head }
        return true
    }

    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        state.withLock { $0.body.append(contentsOf: bytes) }
        return .proceed
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        let (waiter, answer) = state.withLock { state in
            let answer: Answer = result.flatMap {
                guard let head = state.head else { return .failure(FetchError(.other, "the answer has no head")) }
                return .success(FetchResponse(head: head, body: state.body))
            }
            state.answer = answer
            defer { state.waiter = nil }
            return (state.waiter, answer)
        }
        waiter?.resume(returning: answer)
    }
}
