// SPDX-License-Identifier: Apache-2.0

import Telemetry

/// What fills count.
struct FillMetrics: Sendable {
    /// Blob bytes received, wrong ones too.
    let originBytes: Counter
    let edgeBytes: Counter
    /// Pieces from parents that were not what the piece list says.
    let parentMismatches: Counter
    let fills: Counter
    let fetches: Counter
    let failedFetches: Counter
    /// Pieces handed to readers from memory, since the disk could not take them.
    let passedThroughPieces: Counter

    init(_ metrics: Metrics) {
        func bytes(_ parent: String) -> Counter {
            metrics.counter(
                "depot_edge_fill_bytes_total",
                help: "Bytes of blobs received from parents, but for the piece at which a fetch was cancelled.",
                labels: [("parent", parent)])
        }
        originBytes = bytes("origin")
        edgeBytes = bytes("edge")
        parentMismatches = metrics.counter(
            "depot_edge_piece_mismatch_total", help: "Pieces whose bytes were wrong, by where they came from.",
            labels: [("source", "parent")])
        fills = metrics.counter("depot_edge_fills_total", help: "Fills begun.")
        fetches = metrics.counter("depot_edge_fill_fetches_total", help: "Ranged requests to parents.")
        failedFetches = metrics.counter(
            "depot_edge_fill_fetch_failures_total", help: "Ranged requests to parents that did not end well.")
        passedThroughPieces = metrics.counter(
            "depot_edge_passed_through_pieces_total", help: "Pieces served from memory, since the disk took none.")
    }

    /// The link in a parent's URL says for whom it was minted; the origin calls itself `origin`.
    func receivedBytes(from url: String) -> Counter {
        url.contains("?a=origin&") ? originBytes : edgeBytes
    }
}
