// SPDX-License-Identifier: Apache-2.0

/// What a handler says about the bytes it was offered. The raw values are those of the C sink.
package enum FetchFlow: Int32, Sendable {
    /// The bytes are taken.
    case proceed = 0
    /// The bytes are NOT taken: they are offered again, perhaps with more behind them, after `FetchHandle.resume()`.
    case pause = 1
    /// The transfer ends with `.cancelled`.
    case abort = 2
}

/// Receives one answer. Every method is called on the fetcher's thread and must not block: what takes time goes to a
/// pool. Calling `FetchHandle` methods from here is fine.
package protocol FetchHandler: AnyObject, Sendable {
    /// The head of the final response; interim responses are dropped. Called once, before any body byte.
    /// - Returns: `false` ends the transfer with `.cancelled`.
    func fetchReceivedHead(_ head: FetchHead) -> Bool

    /// Where the next bytes of the body shall go, not empty; `nil`: to memory of the fetcher's. Asked for whenever there
    /// is no such place. The room has to stay until all of it was offered and taken, or the transfer has ended.
    func fetchRoom() -> UnsafeMutableRawBufferPointer?

    /// Body bytes, in order. `bytes` is valid during the call only.
    ///
    /// Small reads are gathered. A room of the handler's own is offered when it is full and, with what it holds, when the
    /// body is over; otherwise a call brings what one turn of the socket gave, at most `Fetcher.Configuration.slabBytes`.
    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow

    /// The end, exactly once, after which nothing is called any more. A transfer whose last bytes were paused ends
    /// only when they are taken.
    func fetchEnded(_ result: Result<Void, FetchError>)
}

extension FetchHandler {
    package func fetchRoom() -> UnsafeMutableRawBufferPointer? { nil }
}

/// A running transfer. Dropping it changes nothing: the fetcher keeps the transfer and its handler until the end.
package struct FetchHandle: Sendable {
    let id: TransferID
    let mailbox: Mailbox

    /// Ends the transfer with `.cancelled` soon, unless it has ended. Any thread; never blocks.
    package func cancel() { mailbox.cancel(id) }

    /// Offers the bytes again that the handler paused at. Any thread; never blocks; no effect if nothing is paused.
    package func resume() { mailbox.resume(id) }
}
