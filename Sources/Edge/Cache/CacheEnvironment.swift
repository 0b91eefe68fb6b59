// SPDX-License-Identifier: Apache-2.0

import Blocking
import Logging
import Telemetry

/// What the open blobs of one cache share.
struct CacheEnvironment: Sendable {
    let paths: CachePaths
    let bootID: BootID
    let residency: CachedBlob.Residency
    let pool: BlockingPool
    let buffers: PieceBuffers
    let now: @Sendable () -> ContinuousClock.Instant
    let metrics: CacheMetrics
    let logger: Logger
}

/// What the cache counts.
struct CacheMetrics: Sendable {
    /// Pieces on disk that were not what the piece list says.
    let diskMismatches: Counter
    /// Pieces read back and hashed before they were sent.
    let checkedPieces: Counter
    let scrubbedPieces: Counter
    let scrubMismatches: Counter
    let evictedBlobs: Counter
    let completedBlobs: Counter
    let damagedFiles: Counter
    let usedBytes: Gauge
    let blobCount: Gauge
    let indexBytes: Gauge
    let diskOff: Gauge

    init(_ metrics: Metrics) {
        diskMismatches = metrics.counter(
            "depot_edge_piece_mismatch_total", help: "Pieces whose bytes were wrong, by where they came from.",
            labels: [("source", "disk")])
        checkedPieces = metrics.counter(
            "depot_edge_checked_pieces_total", help: "Cached pieces read and hashed before they were sent.")
        scrubbedPieces = metrics.counter(
            "depot_edge_scrubbed_pieces_total", help: "Cached pieces read and hashed by the background scrub.")
        scrubMismatches = metrics.counter(
            "depot_edge_scrub_mismatch_total", help: "Pieces that the background scrub found to be wrong.")
        evictedBlobs = metrics.counter("depot_edge_evicted_blobs_total", help: "Blobs evicted for room.")
        completedBlobs = metrics.counter(
            "depot_edge_completed_blobs_total", help: "Blobs that became complete on disk.")
        damagedFiles = metrics.counter(
            "depot_edge_damaged_files_total", help: "Cache files dropped for a wrong size, trailer, or map.")
        usedBytes = metrics.gauge("depot_edge_cache_used_bytes", help: "Bytes of blobs in the cache.")
        indexBytes = metrics.gauge("depot_edge_cache_index_bytes", help: "Memory of the index of cached blobs.")
        diskOff = metrics.gauge(
            "depot_edge_disk_off", help: "1 while nothing is stored because the cache's disk fails to write.")
        blobCount = metrics.gauge("depot_edge_cache_blobs", help: "Blobs in the cache, complete or partial.")
    }
}
