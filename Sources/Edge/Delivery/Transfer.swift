// SPDX-License-Identifier: Apache-2.0

/// One body on its way to a client: how far it has been asked for, and how much is in flight to the socket. A pure
/// value; the handler performs what `next` says.
///
/// A window is checked when it is handed over, and read from the page cache when the socket has room. What lies in
/// between is short for every client, since a window is no larger than what its `ClientPace` says: a page that leaves
/// memory meanwhile would be read from the disk unchecked, and on the event loop.
package struct Transfer: Equatable {
    package enum Next: Equatable {
        /// Ask the reader for bytes from here on, `atMost` now and `upTo` the end in the long run.
        case ask(from: Int64, upTo: Int64, atMost: Int64)
        /// Enough is in flight, or a wake-up is outstanding.
        case wait
        /// Everything has been handed over and has left.
        case finished
    }

    /// Two windows in flight keep the socket busy while the next one is checked, and let others have the event loop.
    package static let windowCountMax = 2

    package let end: Int64
    package private(set) var offset: Int64
    package private(set) var windowsInFlight = 0
    package private(set) var isWaiting = false
    private var pace = ClientPace()
    /// Sizes of the windows in flight.
    private var oldestBytes: Int64 = 0
    private var newestBytes: Int64 = 0
    /// Since when the oldest of them is the next to leave.
    private var since = Duration.zero

    package init(range: Range<Int64>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    package var next: Next {
        if offset == end { return windowsInFlight == 0 ? .finished : .wait }
        if isWaiting || windowsInFlight >= Self.windowCountMax { return .wait }
        return .ask(from: offset, upTo: end, atMost: pace.windowBytes)
    }

    /// Whether so many bytes more are all.
    package func isRest(_ byteCount: Int64) -> Bool { offset + byteCount == end }

    /// - Parameter now: Of any clock that runs on.
    package mutating func began(window byteCount: Int64, now: Duration) {
        if windowsInFlight == 0 {
            since = now
            oldestBytes = byteCount
        }
        newestBytes = byteCount
        windowsInFlight += 1
        offset = min(end, offset + byteCount)
    }

    package mutating func windowLeft(now: Duration) {
        pace.took(oldestBytes, in: now - since)
        since = now
        oldestBytes = newestBytes
        windowsInFlight -= 1
    }

    /// The rest was copied, and nobody waits for it to leave.
    package mutating func copied(_ byteCount: Int64) { offset = min(end, offset + byteCount) }

    package mutating func toldToWait() { isWaiting = true }
    package mutating func woken() { isWaiting = false }
}
