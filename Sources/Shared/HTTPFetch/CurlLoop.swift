// SPDX-License-Identifier: Apache-2.0

import CLibcurl
import Glibc

/// The fetcher's thread: performs transfers, takes letters from the mailbox, sleeps in `curl_multi_poll`.
///
/// Each turn: letters → `curl_multi_perform` → finished transfers → slabs that are not full → limits on time → sleep.
struct CurlLoop: ~Copyable {
    private let multi: MultiHandle
    private let mailbox: Mailbox
    private let configuration: Fetcher.Configuration
    private let clock = ContinuousClock()
    private var transfers: [TransferID: Transfer] = [:]
    private var idle: [EasyHandle] = []

    /// Idle handles kept for re-use; each holds a slab and libcurl's buffer.
    private static let idleCountMax = 16
    /// A turn at least this often; every event that matters ends the sleep earlier.
    private static let sleepMax = Duration.seconds(1)

    init(_ multi: MultiHandle, _ mailbox: Mailbox, _ configuration: Fetcher.Configuration) {
        self.multi = multi
        self.mailbox = mailbox
        self.configuration = configuration
    }

    /// Returns when the mailbox is closed and every handler has heard of its end.
    mutating func run() {
        Self.ignoreBrokenPipes()
        while true {
            let letters = mailbox.take()
            if letters.isClosed { return close(letters.starts) }
            for start in letters.starts { begin(start) }
            for id in letters.resumes { transfers[id]?.resume() }
            for id in letters.cancels { end(id, .failure(FetchError(.cancelled, "the caller cancelled the request"))) }
            perform()
            settle()
            var eventCount: Int32 = 0
            curl_multi_poll(multi.raw, nil, 0, Int32(sleep().milliseconds), &eventCount)
        }
    }

    private mutating func begin(_ start: Mailbox.Start) {
        do throws(FetchError) {
            let easy = if let used = idle.popLast() { used } else { try EasyHandle(slabBytes: configuration.slabBytes) }
            let transfer = Transfer(start, easy: easy, headLimits: configuration.headLimits, now: clock.now)
            try transfer.prepare(configuration)
            let code = curl_multi_add_handle(multi.raw, easy.raw)
            guard code == CURLM_OK else {
                throw FetchError(.other, "libcurl takes no further request", curlCode: Int(code.rawValue))
            }
            transfers[start.id] = transfer
        } catch {
            // The handle, half prepared, is dropped with the transfer.
            mailbox.ended(start.id)
            start.handler.fetchEnded(.failure(error))
        }
    }

    private mutating func perform() {
        var runningCount: Int32 = 0
        let code = curl_multi_perform(multi.raw, &runningCount)
        guard code == CURLM_OK else {
            let error = FetchError(.other, "libcurl cannot go on", curlCode: Int(code.rawValue))
            for id in Array(transfers.keys) { end(id, .failure(error)) }
            return
        }
        var easy: UnsafeMutableRawPointer?
        var result = CURLE_OK
        while depot_curl_next_done(multi.raw, &easy, &result) {
            transfers.values.first { $0.easy.raw == easy }?.finished(result)
        }
    }

    private mutating func settle() {
        let now = clock.now
        for (id, transfer) in transfers {
            transfer.flush()
            if let result = transfer.result(now: now) { end(id, result) }
        }
    }

    /// Until the next limit on time that libcurl does not know of.
    private borrowing func sleep() -> Duration {
        let now = clock.now
        var sleep = Self.sleepMax
        for transfer in transfers.values where !transfer.isHeadComplete {
            if let deadline = transfer.headDeadline { sleep = min(sleep, max(.zero, deadline - now)) }
        }
        return sleep
    }

    private mutating func end(_ id: TransferID, _ result: Result<Void, FetchError>) {
        guard let transfer = transfers.removeValue(forKey: id) else { return }
        // Removing a running transfer closes its connection; a finished one's goes back to the pool.
        curl_multi_remove_handle(multi.raw, transfer.easy.raw)
        transfer.easy.reset()
        if idle.count < Self.idleCountMax { idle.append(transfer.easy) }
        mailbox.ended(id)
        transfer.end(result)
    }

    private mutating func close(_ unstarted: [Mailbox.Start]) {
        for id in Array(transfers.keys) { end(id, .failure(.closed)) }
        for start in unstarted {
            mailbox.ended(start.id)
            start.handler.fetchEnded(.failure(.closed))
        }
        idle = []
    }

    /// With CURLOPT_NOSIGNAL libcurl leaves SIGPIPE to us. It goes to the thread that wrote, so that masking it here
    /// is enough and touches no other thread.
    private static func ignoreBrokenPipes() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
}
