// SPDX-License-Identifier: Apache-2.0

import Dispatch
import NIOCore
package import Telemetry

/// Counts and logs each answered request of one listener.
package final class ExchangeObserver: Sendable {
    private let accessLog: AccessLog?
    private let counters: [Counter]
    private let bodyBytes: Counter
    private let durations: Histogram

    /// - Parameters:
    ///   - listener: Label of the metrics, e.g. `registry`.
    ///   - accessLog: `nil` writes none.
    package init(listener: String, metrics: Metrics, accessLog: AccessLog?) {
        self.accessLog = accessLog
        counters = (1...5).map { statusClass in
            metrics.counter(
                "depot_origin_requests_total", help: "Answered requests by status class.",
                labels: [("listener", listener), ("status", "\(statusClass)xx")])
        }
        bodyBytes = metrics.counter(
            "depot_origin_response_body_bytes_total", help: "Bytes of response bodies handed to the kernel.",
            labels: [("listener", listener)])
        durations = metrics.histogram(
            "depot_origin_request_duration_seconds", help: "From the request's head to the answer's end.",
            labels: [("listener", listener)],
            buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600])
    }

    func ended(_ exchange: Exchanges.Exchange, on channel: any Channel) {
        let elapsed = Duration.nanoseconds(
            Int64(clamping: DispatchTime.now().uptimeNanoseconds &- exchange.startNanoseconds))
        counters[min(max(exchange.status / 100, 1), 5) - 1].add(1)
        bodyBytes.add(Int(exchange.bodyBytes))
        durations.observe(elapsed)
        accessLog?.log(
            AccessRecord(
                method: exchange.method,
                target: exchange.path,
                status: exchange.status,
                bytes: exchange.bodyBytes,
                duration: elapsed,
                remote: channel.remoteAddress?.ipAddress ?? "-",
                requestID: exchange.requestID))
    }
}
