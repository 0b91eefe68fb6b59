// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Comes back to a connection's event loop from any thread.
final class RequestWaker: Sendable {
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<DeliveryHandler>

    init(eventLoop: any EventLoop, handler: NIOLoopBound<DeliveryHandler>) {
        self.eventLoop = eventLoop
        self.handler = handler
    }

    func wake(_ requestNumber: UInt64) {
        eventLoop.execute { [self] in handler.value.woken(requestNumber) }
    }
}
