// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import HTTPFetch
import Synchronization

/// What happens to the control connection of one origin.
enum ControlEvent: Sendable {
    case line(ControlLine)
    case ended(String)
    /// Time to look at the clock.
    case alarm
}

/// Reads the lines of one control connection on the fetcher's thread, and passes them on.
final class ControlStream: FetchHandler {
    private struct State {
        var splitter = LineSplitter(lineBytesMax: ControlLine.bytesMax)
        /// Why this side gave up.
        var complaint: String?
    }

    private let events: AsyncStream<ControlEvent>.Continuation
    private let state = Mutex(State())

    init(events: AsyncStream<ControlEvent>.Continuation) {
        self.events = events
    }

    func fetchReceivedHead(_ head: FetchHead) -> Bool {
        guard head.status != 200 else { return true }
        complain("the answer is \(head.status)")
        return false
    }

    func fetchReceivedBody(_ bytes: UnsafeRawBufferPointer) -> FetchFlow {
        guard let lines = state.withLock({ $0.splitter.take(bytes) }) else {
            complain("a line is longer than \(ControlLine.bytesMax) bytes")
            return .abort
        }
        for line in lines {
            do throws(EdgeMessageError) {
                events.yield(.line(try ControlLine(json: line)))
            } catch {
                complain("a line cannot be read: \(error)")
                return .abort
            }
        }
        return .proceed
    }

    func fetchEnded(_ result: Result<Void, FetchError>) {
        let complaint = state.withLock { $0.complaint }
        switch result {
        case .success: events.yield(.ended("the origin closed it"))
        case .failure(let error): events.yield(.ended(complaint ?? "\(error)"))
        }
    }

    private func complain(_ complaint: String) { state.withLock { $0.complaint = complaint } }
}
