// SPDX-License-Identifier: Apache-2.0

import Blocking
import Config
import Disk
import Foundation
import HTTPFetch
import Hashing
import Logging
import OriginAdminAPI
import OriginAuth
import OriginBlobStore
import OriginEdgeControl
import OriginHTTP
import OriginLifecycle
import OriginMetadata
import OriginRegistryAPI
import OriginSecrets
import OriginTrust
import OriginUploads
import Telemetry

/// Everything the origin is made of, wired.
struct OriginParts: Sendable {
    let diskPool = BlockingPool(name: "disk", threadCount: 8, queueCountMax: 4096)
    let origins: OriginDirectory
    let registryGroups: [any RouteGroup]
    let adminGroups: [any RouteGroup]

    private let uploads: UploadService
    private let orphans: OrphanSweep
    private let follower: ChangeFollower
    private let keeper: FleetKeeper
    private let tokenKeeper: TokenKeeper
    private let keys: KeyKeeper
    private let audit: AuditLog
    private let controls = ControlConnections()
    private let readiness: Readiness

    /// Brings a database that is up to date to a deployment that can serve: first credentials, keys, fleet.
    /// - Throws: `StartFailure`.
    init(_ settings: OriginSettings, database: Database, metrics: Metrics, logger: Logger) async throws {
        let secrets: Secrets
        let originID: String
        let store: FileBlobStore
        let bootstrap: Bootstrap
        do {
            originID = try OriginIdentity.load(given: settings.originID, dataDirectory: settings.dataDirectory)
            secrets = try await Secrets(keyFile: settings.keyFile, database: database)
            store = try Self.blobStore(settings)
            bootstrap = Self.bootstrap(settings, database: database, logger: logger)
            try await bootstrap.run()
        } catch let failure as StartFailure {
            throw failure
        } catch {
            throw StartFailure("start", error)
        }
        let timeToLiveSeconds = settings.linkTimeToLive.components.seconds
        let hashPool = BlockingPool(
            name: "hash", threadCount: ProcessInfo.processInfo.activeProcessorCount, queueCountMax: 4096)
        let audit = AuditLog(database: database, metrics: metrics, logger: logger)
        let identities = try Self.identities(settings, database, audit, metrics, logger)
        let auth = AuthService(
            store: database, tokens: secrets.tokens, identities: identities, rates: settings.rates, logger: logger)
        let keys = KeyKeeper(store: secrets.store, auth: auth, logger: logger)
        let fleet = Fleet(linkTimeToLiveSeconds: timeToLiveSeconds, metrics: metrics, logger: logger)
        let directory = EdgeDirectory(
            database: database, wrapping: secrets.wrapping, masters: secrets.masters, fleet: fleet, logger: logger)
        let origins = OriginDirectory(
            id: originID, url: settings.ownURL(port: settings.listen.port), database: database)
        do { try await origins.join() } catch { throw StartFailure("joining the other origins", error) }
        let index = RepositoryIndex(
            database: database, isOnlyOrigin: { origins.isAlone }, becomeKnown: { try await origins.becomeKnown() })
        let locator = BlobLocator(database: database)
        uploads = UploadService(
            database: database,
            store: store,
            hashPool: hashPool,
            diskPool: diskPool,
            configuration: .init(originID: originID, processID: SecureRandom.label(16)),
            metrics: metrics,
            logger: logger)
        orphans = OrphanSweep(
            database: database, store: store, diskPool: diskPool, metrics: metrics, logger: logger)
        var registry = RegistryAPI.Configuration()
        registry.directServeBytesMax = settings.directServeBytesMax.bytes
        registry.manifestBytesMax = Int(settings.manifestBytesMax.bytes)
        registryGroups = [
            RegistryAPI(
                registry, auth: auth, hosts: settings.hosts, database: database, index: index, store: store,
                uploads: uploads, fleet: fleet, audit: audit, diskPool: diskPool, metrics: metrics),
            TokenEndpoint(auth: auth, hosts: settings.hosts),
            EdgeAPI(
                fleet: fleet, masters: secrets.masters, controls: controls, origins: origins, locator: locator,
                store: store, diskPool: diskPool),
            LinkedBlobs(
                masters: secrets.masters, linkTimeToLiveSeconds: timeToLiveSeconds, locator: locator, store: store,
                diskPool: diskPool, metrics: metrics),
        ]
        let blobDirectory = settings.blobDirectory
        let diskPool = diskPool
        readiness = Readiness([
            .init("the database does not answer") { (try? await database.latestChange()) != nil },
            .init("the blob directory cannot be written") {
                guard store.isWritable else { return false }
                return (try? await diskPool.run { try Directory.exists(blobDirectory) }) == true
            },
        ])
        let enrollment = EdgeEnrollment(
            database: database, wrapping: secrets.wrapping, hosts: settings.hosts, directory: directory,
            originURL: { settings.externalURL ?? origins.url })
        adminGroups = [
            StatusPages(readiness: readiness, metrics: metrics),
            AdminAPI(
                changes: AdminChanges(database: database, auth: auth) { index.invalidate() }, audit: audit,
                privateHosts: settings.privateIssuers, keys: keys, bootstrap: bootstrap, enrollment: enrollment,
                fleet: fleet),
        ]
        follower = ChangeFollower(
            database: database,
            logger: logger,
            onChanges: { changes in
                // One tenant's delete must not make everybody's memory cold: what names its subject costs only that.
                for change in changes {
                    switch change.effect {
                    case .unlinkedBlob(let digest, let repositoryID): index.forget(digest, in: repositoryID)
                    case .changedManifest(let digest, let repositoryID):
                        index.deleted(digest, in: repositoryID)
                    case .healedBlob: index.invalidate()
                    case .changedRights: auth.invalidate()
                    case .changedKeys: keys.reload()
                    case .deletedRepositories:
                        auth.invalidate()
                        index.invalidate()
                    case nil:
                        auth.invalidate()
                        index.invalidate()
                    }
                }
            },
            onGap: {
                keys.reload()
                auth.invalidate()
                index.invalidate()
            },
            onSynced: { instant in
                auth.synced(at: instant)
                index.synced(at: instant)
            })
        self.keys = keys
        tokenKeeper = TokenKeeper(auth: auth, database: database, logger: logger)
        self.audit = audit
        keeper = FleetKeeper(fleet: fleet, edges: directory, origins: origins, logger: logger)
        self.origins = origins
    }

    private static func identities(
        _ settings: OriginSettings, _ database: Database, _ audit: AuditLog, _ metrics: Metrics, _ logger: Logger
    ) throws -> TrustExchange {
        let fetcher: Fetcher
        do throws(FetchError) { fetcher = try Fetcher(name: "issuers") } catch { throw StartFailure("libcurl", error) }
        let verifier = TrustVerifier(
            fetcher: fetcher, privateHosts: settings.privateIssuers, logger: logger, metrics: metrics)
        return TrustExchange(
            database: database, verifier: verifier, audit: audit, privateHosts: settings.privateIssuers)
    }

    private static func blobStore(_ settings: OriginSettings) throws -> FileBlobStore {
        _ = try Directory.create(settings.blobDirectory, permissions: 0o750)
        let totalBytes = try Directory.freeBytes(settings.blobDirectory).total
        return try FileBlobStore(
            directory: settings.blobDirectory, reserveBytes: settings.reserveBytes(totalBytes: totalBytes))
    }

    private static func bootstrap(_ settings: OriginSettings, database: Database, logger: Logger) -> Bootstrap {
        var tellTerminal: (@Sendable (String) -> Void)?
        if StandardOutput.isTerminal { tellTerminal = { StandardOutput.write($0) } }
        return Bootstrap(
            database: database, path: settings.bootstrapFile,
            tokenPath: settings.dataDirectory + "/bootstrap-token", tellTerminal: tellTerminal, logger: logger)
    }

    /// Runs `body` beside `others` and everything that goes on without a request, and ends that when `body` ends.
    func withBackgroundWork(
        _ others: [@Sendable () async -> Void],
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { work in
            for other in others { work.addTask { await other() } }
            work.addTask { [uploads] in await uploads.run() }
            work.addTask { [orphans] in await orphans.run() }
            work.addTask { [follower] in await follower.run() }
            work.addTask { [keeper] in await keeper.run() }
            work.addTask { [tokenKeeper] in await tokenKeeper.run() }
            work.addTask { [audit] in await audit.run() }
            work.addTask { [keys] in await keys.run() }
            defer { work.cancelAll() }
            try await body()
        }
    }

    /// No new clients are wanted: not ready any more, and no edge is held by a stream that never ends.
    func beginDrain() {
        readiness.beginDrain()
        controls.closeAll()
    }
}

/// The keys of the deployment, unwrapped.
private struct Secrets {
    let wrapping: Wrapping
    let store: SecretStore
    let tokens: RegistryTokens
    let masters: LinkMasters

    init(keyFile: String, database: Database) async throws {
        wrapping = Wrapping(try KeyFile.loadOrCreate(keyFile))
        store = SecretStore(database: database, wrapping: wrapping)
        masters = try await LinkMasters.load(from: store)
        tokens = try await RegistryTokens.load(from: store)
    }
}
