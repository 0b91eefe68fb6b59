// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore

/// Ends a connection whose reader has stopped: bytes of a running response wait, and the peer has acknowledged none
/// within the limit. Idle timeouts do not see this case, since a response is in progress. Lives on the channel's event
/// loop.
package final class StallGuard {
    /// Two looks in a row without progress end the connection.
    package static let interval = TimeAmount.seconds(30)

    private struct Sight: Equatable {
        let waitingBytes: Int
        let acknowledgedBytes: UInt64
    }

    private let channel: any Channel
    private let interval: TimeAmount
    private var isResponding = false
    private var lastSight: Sight?
    private var look: RepeatedTask?

    /// - Parameter interval: Between two looks.
    package init(channel: any Channel, interval: TimeAmount = StallGuard.interval) {
        self.channel = channel
        self.interval = interval
    }

    /// Starts looking; a response that is over before the first look costs nothing but this call.
    package func responseBegan() {
        isResponding = true
        lastSight = nil
        guard look == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        look = channel.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
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
        let sight = Sight(
            waitingBytes: (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0,
            acknowledgedBytes: acknowledgedBytes())
        if sight.waitingBytes > 0, sight == lastSight {
            channel.close(promise: nil)
        }
        lastSight = sight
    }

    /// Bytes that the peer's kernel has taken since the connection began; 0 where the socket cannot tell.
    ///
    /// What waits is no measure by itself: a response is refilled while it leaves, so a slow reader finds the same
    /// count waiting at one look after the other, and would be cut off.
    private func acknowledgedBytes() -> UInt64 {
        // The first 128 bytes of the kernel's `tcp_info`, in words; `tcpi_bytes_acked` is at byte 120. The structure of
        // the C library's header ends before it.
        let info: EventLoopFuture<SIMD16<UInt64>>? = (channel as? any SocketOptionProvider)?
            .unsafeGetSocketOption(level: .tcp, name: .init(rawValue: TCP_INFO))
        var count: UInt64 = 0
        // On the event loop the answer is there at once.
        info?.assumeIsolated().whenSuccess { count = $0[15] }
        return count
    }
}
