// SPDX-License-Identifier: Apache-2.0

package import Telemetry

/// What the edge counts about answers.
package final class DeliveryMetrics: Sendable {
    private static let statuses = [200, 206, 304, 400, 403, 404, 405, 416, 500, 502, 503]

    let servedBytes: Counter
    let hits: Counter
    let misses: Counter
    let brokenStreams: Counter
    private let requests: [Int: Counter]
    private let otherRequests: Counter

    package init(_ metrics: Metrics) {
        servedBytes = metrics.counter(
            "depot_edge_served_bytes_total", help: "Bytes of blobs handed to the kernel for clients.", labels: [])
        hits = metrics.counter(
            "depot_edge_hits_total", help: "Answers for which nothing had to be fetched.", labels: [])
        misses = metrics.counter(
            "depot_edge_misses_total", help: "Answers that waited for a fill.", labels: [])
        brokenStreams = metrics.counter(
            "depot_edge_broken_streams_total", help: "Answers ended before their length by the edge.", labels: [])
        func requests(_ status: String) -> Counter {
            metrics.counter("depot_edge_requests_total", help: "Answers by status.", labels: [("status", status)])
        }
        self.requests = Dictionary(uniqueKeysWithValues: Self.statuses.map { ($0, requests("\($0)")) })
        otherRequests = requests("other")
    }

    func answered(status: Int) {
        (requests[status] ?? otherRequests).add(1)
    }
}
