// SPDX-License-Identifier: Apache-2.0

package import Blocking
package import EdgeCache
package import EdgeControl
package import HTTPFetch
package import Logging
import OCI
package import SignedURL
import Synchronization
package import Telemetry

/// The one door through which delivery gets bytes: from the cache, or through a fill shared by all who want the blob.
package final class BlobSource: Sendable {
    /// Pieces on their way from parents to the disk, over all fills: 16 MiB.
    private static let storingPiecesMax = 16
    /// Requests to parents at once, over all fills. Each holds the piece it is receiving.
    private static let fetchCountMax = 24

    let engine: FillEngine
    private let nextReaderID = Atomic<UInt64>(0)

    package init(
        cache: BlobCache,
        fetcher: Fetcher,
        parents: any ParentDirectory,
        pool: BlockingPool,
        metrics: Metrics,
        logger: Logger,
        limits: FillPlan.Limits = FillPlan.Limits(),
        timing: FillTiming = FillTiming()
    ) {
        engine = FillEngine(
            cache: cache, fetcher: fetcher, parents: parents, pool: pool, metrics: FillMetrics(metrics), logger: logger,
            limits: limits, timing: timing,
            storeGate: StoreGate(insideCountMax: Self.storingPiecesMax),
            fetchGate: FetchGate(runningCountMax: Self.fetchCountMax))
    }

    /// A reader of the blob that a verified link names. Never blocks.
    /// - Parameter target: Path and query of the client's request, which authorise a fill at the origin.
    package func reader(for link: Link, target: String) -> BlobReader {
        BlobReader(
            id: nextReaderID.wrappingAdd(1, ordering: .relaxed).newValue,
            name: BlobName(digest: link.digest, sizeBytes: link.sizeBytes),
            target: target,
            engine: engine)
    }
}

/// What all fills of one source share, and the table of those that run.
final class FillEngine: Sendable {
    let cache: BlobCache
    let fetcher: Fetcher
    let parents: any ParentDirectory
    let pool: BlockingPool
    let metrics: FillMetrics
    let logger: Logger
    let limits: FillPlan.Limits
    let timing: FillTiming
    let storeGate: StoreGate
    let fetchGate: FetchGate
    /// A fill's own lock is taken inside of this one, never the other way round.
    private let fills = Mutex<[Digest: Fill]>([:])

    init(
        cache: BlobCache,
        fetcher: Fetcher,
        parents: any ParentDirectory,
        pool: BlockingPool,
        metrics: FillMetrics,
        logger: Logger,
        limits: FillPlan.Limits,
        timing: FillTiming,
        storeGate: StoreGate,
        fetchGate: FetchGate
    ) {
        self.cache = cache
        self.fetcher = fetcher
        self.parents = parents
        self.pool = pool
        self.metrics = metrics
        self.logger = logger
        self.limits = limits
        self.timing = timing
        self.storeGate = storeGate
        self.fetchGate = fetchGate
    }

    /// The fill that runs for this blob, if one does.
    func fill(for name: BlobName) -> Fill? {
        fills.withLock { Self.running(in: $0, name) }
    }

    /// One that has ended is in the table for a moment longer: a reader that got it would come back at once, again and
    /// again, and soon give up.
    private static func running(in fills: [Digest: Fill], _ name: BlobName) -> Fill? {
        fills[name.digest].flatMap { $0.name == name && !$0.hasEnded ? $0 : nil }
    }

    /// The fill that runs for this blob, or a new one.
    /// - Parameter blob: What there is on disk, pinned for the fill: an existing fill does not need it, and it is released.
    func fill(for name: BlobName, blob: CachedBlob?, mayCreate: Bool, target: String) -> Fill {
        let fresh = Fill(name: name, blob: blob, mayCreate: mayCreate, target: target, engine: self)
        return fills.withLock { fills in
            if let running = Self.running(in: fills, name) { return running }
            fills[name.digest] = fresh
            metrics.fills.add(1)
            return fresh
        }
    }

    func ended(_ fill: Fill) {
        fills.withLock { fills in
            if fills[fill.name.digest] === fill { fills[fill.name.digest] = nil }
        }
    }

    /// For the log: a parent's URL holds a signature behind the host.
    func host(of url: String) -> Substring {
        url.split(separator: "/", maxSplits: 2).dropFirst().first ?? ""
    }
}
