// SPDX-License-Identifier: Apache-2.0

/// One body on its way to a client: how far it has been asked for, and how much is in flight to the socket. A pure
/// value; the handler performs what `next` says.
package struct Transfer: Equatable {
    package enum Next: Equatable {
        /// Ask the reader for bytes from here on.
        case ask(from: Int64, upTo: Int64)
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

    package init(range: Range<Int64>) {
        offset = range.lowerBound
        end = range.upperBound
    }

    package var next: Next {
        if offset == end { return windowsInFlight == 0 ? .finished : .wait }
        return isWaiting || windowsInFlight >= Self.windowCountMax ? .wait : .ask(from: offset, upTo: end)
    }

    /// Whether nothing more has to be asked for.
    package var isHandedOver: Bool { offset == end }

    package mutating func began(window byteCount: Int64) {
        offset = min(end, offset + byteCount)
        windowsInFlight += 1
    }

    package mutating func windowLeft() { windowsInFlight -= 1 }
    package mutating func toldToWait() { isWaiting = true }
    package mutating func woken() { isWaiting = false }
}
