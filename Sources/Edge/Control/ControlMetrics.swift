// SPDX-License-Identifier: Apache-2.0

import Telemetry

/// The numbers of the control side.
struct ControlMetrics: Sendable {
    let connected: Gauge
    let heartbeatsAnswered: Counter
    let heartbeatsFailed: Counter
    let keysFetched: Counter
    let keysFailed: Counter
    let clockOffset: Gauge

    init(_ metrics: Metrics) {
        connected = metrics.gauge("depot_edge_control_connections", help: "Origins with an open control connection.")
        let heartbeats = { (result: String) in
            metrics.counter(
                "depot_edge_heartbeats_total",
                help: "Heartbeats sent, by result.",
                labels: [("result", result)]
            )
        }
        heartbeatsAnswered = heartbeats("answered")
        heartbeatsFailed = heartbeats("failed")
        let keys = { (result: String) in
            metrics.counter(
                "depot_edge_key_requests_total",
                help: "Requests for link keys, by result.",
                labels: [("result", result)]
            )
        }
        keysFetched = keys("fetched")
        keysFailed = keys("failed")
        clockOffset = metrics.gauge("depot_edge_clock_offset_seconds", help: "The origin's clock minus this edge's.")
    }
}
