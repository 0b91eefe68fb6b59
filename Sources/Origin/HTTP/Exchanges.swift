// SPDX-License-Identifier: Apache-2.0

package import Telemetry

/// The requests of one connection that are not answered yet, oldest first, and what has to happen with the connection
/// when an answer leaves before its request has wholly arrived. A pure value: no channel, clock or I/O inside.
///
/// A refused upload is answered at once (RFC 9110 §15.5.14 and §10.1.1). Closing a socket that holds unread input
/// resets the connection and can destroy the answer on its way, so the write side is shut down first and a bounded
/// amount of input is read and thrown away.
///
/// A refused request with a small body is answered when the body has come, for a moment: the connection can go on, and
/// there are clients that wait for ever once their body is refused half-way (containerd 1.6 with a manifest).
package struct Exchanges {
    package struct Exchange: Equatable {
        package let requestID: RequestID
        package let method: String
        /// Without the query, which may hold a credential.
        package let path: String
        package let startNanoseconds: UInt64
        package var expectsContinue: Bool
        /// Nothing can be read behind this request.
        package let isLast: Bool
        /// Of the body, as declared; `nil` if it is not.
        package let declaredBytes: Int64?
        package var requestIsComplete = false
        package var status = 0
        package var bodyBytes: Int64 = 0

        package init(
            requestID: RequestID,
            method: String,
            path: String,
            startNanoseconds: UInt64,
            expectsContinue: Bool,
            isLast: Bool = false,
            declaredBytes: Int64? = nil
        ) {
            self.requestID = requestID
            self.method = method
            self.path = path
            self.startNanoseconds = startNanoseconds
            self.expectsContinue = expectsContinue
            self.isLast = isLast
            self.declaredBytes = declaredBytes
        }

        /// Whether the rest of the body is small and on its way.
        fileprivate var endsSoon: Bool {
            guard let declaredBytes, !requestIsComplete, !expectsContinue, !isLast else { return false }
            return declaredBytes <= discardedBytesMax
        }
    }

    package enum Inbound: Equatable { case forward, discard, stopReading }
    package enum Outbound: Equatable { case keepOpen, closeAfterwards }

    package static let discardedBytesMax = 256 * 1024

    private var waiting: [Exchange] = []
    private var isAnswering = false
    package private(set) var isLingering = false
    private var discardedBytes = 0

    package init() {}

    package var hasUnfinishedRequest: Bool { !isLingering && waiting.contains { !$0.requestIsComplete } }
    package var isIdle: Bool { waiting.isEmpty }

    package mutating func receivedHead(_ exchange: Exchange) -> Inbound {
        guard !isLingering else { return .discard }
        waiting.append(exchange)
        return .forward
    }

    package mutating func receivedBody(bytes: Int) -> Inbound {
        guard isLingering else { return .forward }
        discardedBytes += bytes
        return discardedBytes > Self.discardedBytesMax ? .stopReading : .discard
    }

    package mutating func receivedEnd() -> Inbound {
        guard !isLingering, let last = waiting.indices.last else { return .discard }
        waiting[last].requestIsComplete = true
        return .forward
    }

    /// Whether `100 Continue` has to be sent now: asked for, not sent yet, and no answer has begun.
    package mutating func takeContinue() -> Bool {
        guard !isAnswering, let first = waiting.indices.first, waiting[first].expectsContinue else { return false }
        waiting[first].expectsContinue = false
        return true
    }

    /// Whether an answer of this status to the oldest request had better wait for the request's end.
    package func shouldWait(beforeStatus status: Int) -> Bool {
        status >= 400 && !isAnswering && waiting.first?.endsSoon == true
    }

    /// The answer to the oldest request begins.
    package mutating func sentHead(status: Int) -> (Outbound, Exchange)? {
        guard let first = waiting.indices.first else { return nil }
        isAnswering = true
        waiting[first].status = status
        let isKept = waiting[first].requestIsComplete && !waiting[first].isLast
        return (isKept ? .keepOpen : .closeAfterwards, waiting[first])
    }

    package mutating func sentBody(bytes: Int) {
        guard let first = waiting.indices.first else { return }
        waiting[first].bodyBytes += Int64(bytes)
    }

    /// The answer to the oldest request is complete. `closeAfterwards` only if its head announced it.
    package mutating func sentEnd(headSaidClose: Bool) -> (Outbound, Exchange)? {
        guard !waiting.isEmpty else { return nil }
        let exchange = waiting.removeFirst()
        isAnswering = false
        isLingering = headSaidClose
        return (headSaidClose ? .closeAfterwards : .keepOpen, exchange)
    }
}
