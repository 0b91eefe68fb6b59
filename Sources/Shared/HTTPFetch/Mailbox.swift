// SPDX-License-Identifier: Apache-2.0

import CLibcurl
import Synchronization

/// Names one transfer of a fetcher; never re-used.
struct TransferID: Hashable, Sendable {
    let number: UInt64
}

/// A `CURLM`. Made by whoever makes the fetcher, then used by the fetcher's thread only, apart from `wake`.
final class MultiHandle: @unchecked Sendable {
    // SAFETY: only `curl_multi_wakeup` is called from other threads, which libcurl allows; cleanup happens when the last
    // reference is gone, and the fetcher's thread has removed every easy handle by then.
    let raw: UnsafeMutableRawPointer

    /// - Throws: `.other` if libcurl cannot start or refuses an option.
    init(_ options: [(CURLMoption, Int)]) throws(FetchError) {
        guard Self.globalStatus == CURLE_OK, let raw = curl_multi_init() else {
            throw FetchError(.other, "libcurl does not start", curlCode: Int(Self.globalStatus.rawValue))
        }
        self.raw = raw
        for (option, value) in options {
            let code = depot_curl_multi_set_long(raw, option, value)
            guard code == CURLM_OK else {
                throw FetchError(
                    .other,
                    "libcurl refuses multi option \(option.rawValue)",
                    curlCode: Int(code.rawValue)
                )
            }
        }
    }

    deinit { curl_multi_cleanup(raw) }

    /// Makes the running or the next `curl_multi_poll` return at once. Several wakes may count as one.
    func wake() { curl_multi_wakeup(raw) }

    private static let globalStatus = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
}

/// What other threads ask of the fetcher's thread. Bounded: a transfer has at most one entry of each sort.
final class Mailbox: Sendable {
    struct Start: Sendable {
        let id: TransferID
        let request: FetchRequest
        let handler: any FetchHandler
    }

    struct Letters {
        var starts: [Start] = []
        var resumes: Set<TransferID> = []
        var cancels: Set<TransferID> = []
        var isClosed = false

        var isEmpty: Bool { starts.isEmpty && resumes.isEmpty && cancels.isEmpty && !isClosed }
    }

    private struct State {
        var letters = Letters()
        /// Started and not ended.
        var live: Set<TransferID> = []
        var nextNumber: UInt64 = 0
    }

    private let multi: MultiHandle
    private let transferCountMax: Int
    private let state = Mutex(State())

    init(multi: MultiHandle, transferCountMax: Int) {
        self.multi = multi
        self.transferCountMax = transferCountMax
    }

    /// - Throws: `.cancelled` when closed, `.overloaded` when full.
    func start(_ request: FetchRequest, _ handler: any FetchHandler) throws(FetchError) -> TransferID {
        let result: Result<TransferID, FetchError> = state.withLock { state in
            guard !state.letters.isClosed else { return .failure(.closed) }
            guard state.live.count < transferCountMax else {
                return .failure(FetchError(.overloaded, "\(transferCountMax) requests are running or waiting"))
            }
            let id = TransferID(number: state.nextNumber)
            state.nextNumber += 1
            state.live.insert(id)
            state.letters.starts.append(Start(id: id, request: request, handler: handler))
            return .success(id)
        }
        multi.wake()
        return try result.get()
    }

    func cancel(_ id: TransferID) { post(id) { $0.cancels.insert(id) } }

    func resume(_ id: TransferID) { post(id) { $0.resumes.insert(id) } }

    func close() {
        state.withLock { $0.letters.isClosed = true }
        multi.wake()
    }

    /// For the fetcher's thread.
    func take() -> Letters {
        state.withLock { state in
            defer { state.letters = Letters(isClosed: state.letters.isClosed) }
            return state.letters
        }
    }

    /// For the fetcher's thread: makes room for another transfer.
    func ended(_ id: TransferID) { state.withLock { _ = $0.live.remove(id) } }

    private func post(_ id: TransferID, _ change: (inout Letters) -> Void) {
        let isLive = state.withLock { state in
            guard state.live.contains(id) else { return false }
            change(&state.letters)
            return true
        }
        if isLive { multi.wake() }
    }
}
