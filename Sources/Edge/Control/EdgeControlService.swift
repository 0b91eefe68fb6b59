// SPDX-License-Identifier: Apache-2.0

package import Blocking
import Disk
package import EdgeProtocol
package import HTTPFetch
package import Logging
package import SignedURL
import Synchronization
package import Telemetry

/// What an edge tells about itself in a heartbeat.
package struct EdgeLoad: Sendable {
    package var inflightRequestCount: Int
    /// What the cache may still take.
    package var freeBytes: Int64
    package var capacityBytes: Int64

    package init(inflightRequestCount: Int, freeBytes: Int64, capacityBytes: Int64) {
        self.inflightRequestCount = inflightRequestCount
        self.freeBytes = freeBytes
        self.capacityBytes = capacityBytes
    }
}

/// The edge's side of `/edge/v1` (`Docs/architecture.md`, "Fleet"): it keeps one control connection and a heartbeat to
/// every origin, holds the link keys, and asks for parents and piece lists.
///
/// An edge works on without any origin: it verifies links with the keys on its disk and serves what its cache has.
/// Every decision over time is a pure value (`OriginList`, `ControlConnection`, `KeyRefresh`, `ClockOffset`); this class
/// locks, asks them, and acts. Limits: origins (`OriginList.countMax`), lines and answers (`EdgeProtocol`), one key
/// request and one connection per origin at a time.
package final class EdgeControlService: Sendable {
    package struct Configuration: Sendable {
        package let credential: JoinCredential
        /// Where the link keys rest.
        package let keysPath: String
        /// Where this edge listens, for the operator's eyes.
        package let listenURL: String
        /// Of the program.
        package let version: String
        /// Join over plain http although others may listen and meddle: for laboratories.
        package let allowsPlainHTTP: Bool
        package var timing = ControlTiming()

        package init(
            credential: JoinCredential,
            keysPath: String,
            listenURL: String,
            version: String,
            allowsPlainHTTP: Bool = false
        ) {
            self.credential = credential
            self.keysPath = keysPath
            self.listenURL = listenURL
            self.version = version
            self.allowsPlainHTTP = allowsPlainHTTP
        }
    }

    struct State {
        var origins: OriginList
        var refresh: KeyRefresh
        var clockOffset = ClockOffset()
        var keys: LinkKeySet?
        var isDraining = false
        /// Origins with a heartbeat and, when it can be had, a control connection.
        var attended: Set<OriginAddress> = []
        /// Origins whose last heartbeat failed.
        var silent: Set<OriginAddress> = []
        /// Origins with an open control connection.
        var connected: Set<OriginAddress> = []
    }

    let configuration: Configuration
    let client: OriginClient
    let keyFile: KeyFile
    let pool: BlockingPool
    let load: @Sendable () -> EdgeLoad
    let metrics: ControlMetrics
    let logger: Logger
    let state: Mutex<State>
    private let joined: OriginAddress
    /// Apart from the state: read for every request, on event loops.
    private let currentVerifier: Mutex<LinkVerifier>
    private let newOrigins: AsyncStream<OriginAddress>
    private let foundOrigin: AsyncStream<OriginAddress>.Continuation

    /// Reads the stored keys; nothing is sent before `run`. Blocks: for the start of the program.
    ///
    /// - Parameters:
    ///   - fetcher: This service's own: its requests must not wait behind fills.
    ///   - pool: For writing the key file.
    ///   - load: Called for each heartbeat; quick.
    /// - Throws: `.origin` for an origin that may not be joined, `.storage` for a key file that cannot be read.
    package init(
        _ configuration: Configuration,
        fetcher: Fetcher,
        pool: BlockingPool,
        load: @escaping @Sendable () -> EdgeLoad,
        metrics: Metrics,
        logger: Logger
    ) throws(EdgeControlError) {
        let credential = configuration.credential
        joined = try Self.admit(credential, configuration.allowsPlainHTTP, logger)
        keyFile = KeyFile(path: configuration.keysPath, edgeID: credential.edgeID)
        let keys: LinkKeySet?
        do throws(DiskError) {
            keys = try keyFile.load()
        } catch {
            throw EdgeControlError(.storage, "the stored link keys cannot be read: \(error)")
        }
        self.configuration = configuration
        self.pool = pool
        self.load = load
        self.logger = logger
        self.metrics = ControlMetrics(metrics)
        client = OriginClient(
            fetcher: fetcher,
            signer: RequestSigner(keys: credential.keys),
            answerTimeout: configuration.timing.answerTimeout
        )
        state = Mutex(
            State(
                origins: OriginList(joined: joined),
                refresh: KeyRefresh(
                    timing: configuration.timing,
                    held: keys.map { ($0.answer.keysVersion, $0.answer.linkTTLSeconds) }
                ),
                keys: keys
            )
        )
        currentVerifier = Mutex(
            keys?.verifier ?? LinkVerifier(edgeID: credential.edgeID, keys: [], timeToLive: .zero)
        )
        (newOrigins, foundOrigin) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(OriginList.countMax))
    }

    /// Attends to all origins and keeps the keys fresh, until its task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepKeysFresh() }
            found([joined])
            for await origin in newOrigins { group.addTask { await self.attend(to: origin) } }
            group.cancelAll()
        }
    }

    /// Verifies links with the keys held now. Any thread; never blocks. Without any key it refuses every link.
    package func verifier() -> LinkVerifier { currentVerifier.withLock { $0 } }

    /// Whether any key is held: before that, this edge can serve nobody.
    package var hasKeys: Bool { state.withLock { $0.keys != nil } }

    /// Returns when keys are held or the task is cancelled.
    package func waitForKeys() async {
        while !hasKeys, (try? await Task.sleep(for: configuration.timing.alarmInterval)) != nil {}
    }

    /// A link was refused as not genuine. If it names a key that is not held, the keys are asked for again, though not
    /// often. Any thread; never blocks.
    package func refused(target: String) {
        let now = ContinuousClock.now
        state.withLock { state in
            if state.keys?.holdsKey(of: target) == false { state.refresh.metUnknownKey(at: now) }
        }
    }

    /// Origins with an open control connection.
    package var connectedOriginCount: Int { state.withLock { $0.connected.count } }

    /// Tells all origins to send no new clients: at once, and in every heartbeat from now on. Returns when they know, or
    /// when it is clear that they cannot be told.
    package func beginDrain() async {
        let now = ContinuousClock.now
        let origins = state.withLock { state in
            state.isDraining = true
            return state.origins.ordered(at: now)
        }
        await withDiscardingTaskGroup { group in
            for origin in origins { group.addTask { await self.heartbeat(to: origin) } }
        }
    }

    /// Puts new keys into use.
    func install(_ keys: LinkKeySet) {
        state.withLock { state in
            state.keys = keys
            state.refresh.fetched(version: keys.answer.keysVersion, timeToLiveSeconds: keys.answer.linkTTLSeconds)
        }
        currentVerifier.withLock { $0 = keys.verifier }
    }

    /// Starts attending to those that nobody attends to yet, up to the limit.
    func found(_ origins: [OriginAddress]) {
        for origin in origins {
            let isNew = state.withLock { state in
                state.attended.count < OriginList.countMax && state.attended.insert(origin).inserted
            }
            guard isNew else { continue }
            logger.info("origin found", metadata: ["origin.url": "\(origin)"])
            foundOrigin.yield(origin)
        }
    }

    private static func admit(
        _ credential: JoinCredential,
        _ allowsPlainHTTP: Bool,
        _ logger: Logger
    ) throws(EdgeControlError) -> OriginAddress {
        guard let origin = OriginAddress(credential.originURL) else {
            throw EdgeControlError(
                .origin,
                "the origin's URL \(credential.originURL) in the credential is not scheme, host, and port"
            )
        }
        guard origin.isAdmissible(allowsPlainHTTP: allowsPlainHTTP) else {
            throw EdgeControlError(
                .origin,
                "refusing to join \(origin) over plain http: use https, or --allow-plain-http-join in a laboratory"
            )
        }
        if origin.isPlainHTTP, !origin.isLoopback {
            logger.warning(
                "joining over plain http: whoever is on the network can read and change keys",
                metadata: ["origin.url": "\(origin)"]
            )
        }
        return origin
    }
}
