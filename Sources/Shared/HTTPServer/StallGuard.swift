// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Ends a connection whose reader has stopped: nothing of a running response left for the socket within the limit.
/// Idle timeouts do not see this case, since a response is in progress. Lives on the channel's event loop.
package final class StallGuard {
    /// Two looks in a row without progress end the connection.
    package static let interval = TimeAmount.seconds(30)

    private let channel: any Channel
    private var isResponding = false
    private var bytesAtLastLook: Int?
    private var look: RepeatedTask?

    package init(channel: any Channel) { self.channel = channel }

    /// Starts looking; a response that is over before the first look costs nothing but this call.
    package func responseBegan() {
        isResponding = true
        bytesAtLastLook = nil
        guard look == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        look = channel.eventLoop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { _ in
            bound.value.check()
        }
    }

    package func responseEnded() { isResponding = false }

    package func stop() {
        look?.cancel()
        look = nil
    }

    private func check() {
        guard isResponding else {
            stop()
            return
        }
        let waitingBytes = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if waitingBytes > 0, waitingBytes == bytesAtLastLook {
            channel.close(promise: nil)
        }
        bytesAtLastLook = waitingBytes
    }
}
