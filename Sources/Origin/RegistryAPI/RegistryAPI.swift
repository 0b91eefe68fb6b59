// SPDX-License-Identifier: Apache-2.0

package import Blocking
import Grammar
import HTTPTypes
package import Hummingbird
import OCI
package import OriginAuth
package import OriginBlobStore
package import OriginEdgeControl
package import OriginHTTP
package import OriginMetadata
package import OriginUploads
package import Telemetry

/// `/v2`: distribution-spec 1.1. One parser over the raw path, one table of methods and rights, one gate; behind it one
/// file per group of endpoints. The only writer of OCI error documents.
///
/// Order of checks: path (404), host (421), method (405), name (400), credential, visibility and right (401, 404, 403),
/// then what the endpoint itself refuses. No body is read, and no `100 Continue` sent, before all of them.
package struct RegistryAPI: RouteGroup {
    package struct Configuration: Sendable {
        /// Blobs up to here are sent by the origin itself; zero redirects them all.
        package var directServeBytesMax: Int64 = 64 * 1024
        package var manifestBytesMax = 4 * 1024 * 1024
        /// `tag` items of one manifest push.
        package var pushedTagCountMax = 100
        package var tagCountMax = 1000
        package var repositoryCountMax = 1000
        package var referrerCountMax = 500
        /// A list of referrers that grows past this goes on in another page: clients take at most 4 MiB.
        package var referrerAnnotationBytesMax: Int64 = 2 * 1024 * 1024

        package init() {}
    }

    let configuration: Configuration
    let auth: AuthService
    let hosts: HostPolicy
    let database: Database
    let index: RepositoryIndex
    let store: any BlobStore
    let uploads: UploadService
    let fleet: Fleet
    let audit: AuditLog
    let diskPool: BlockingPool
    /// Bounds what bodies of manifests take in memory, and what reading them takes.
    let largeBodies = Turnstile(passingCountMax: 32, waitingCountMax: 0)
    let largeManifests = Turnstile(passingCountMax: 2, waitingCountMax: 32)
    let redirectCount: Counter
    let servedBytes: Counter

    package init(
        _ configuration: Configuration,
        auth: AuthService,
        hosts: HostPolicy,
        database: Database,
        index: RepositoryIndex,
        store: any BlobStore,
        uploads: UploadService,
        fleet: Fleet,
        audit: AuditLog,
        diskPool: BlockingPool,
        metrics: Metrics
    ) {
        self.configuration = configuration
        self.auth = auth
        self.hosts = hosts
        self.database = database
        self.index = index
        self.store = store
        self.uploads = uploads
        self.fleet = fleet
        self.audit = audit
        self.diskPool = diskPool
        redirectCount = metrics.counter("depot_origin_redirects_total", help: "Blob requests sent to an edge.")
        servedBytes = metrics.counter(
            "depot_origin_blob_bytes_total",
            help: "Bytes of blobs sent: to clients (direct) or to edges (fill).",
            labels: [("via", "direct")])
    }

    package var prefixes: [String] { ["/v2"] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        var response: Response
        do {
            response = try await answer(request, context)
        } catch {
            let failure = OCIFailure(unexpected: error)
            failure.log(to: context.logger, requestID: request.requestID)
            response = failure.response(requestID: request.requestID)
        }
        response.headers[.dockerAPIVersion] = "registry/2.0"
        return response
    }

    private func answer(_ request: Request, _ context: OriginRequestContext) async throws -> Response {
        let target = RawTarget(request)
        guard let path = RegistryPath(target.path) else {
            // Told apart from what merely is not served: somebody tries to climb.
            throw target.hasDotSegment ? OCIFailure.dotSegment : OCIFailure.notServed
        }
        guard let host = hosts.resolve(request.head.authority, isTLS: context.isTLS) else {
            throw OCIFailure.misdirected
        }
        let operation = try path.resource.operation(for: request.method)
        let caller = Caller(request, context)
        switch operation {
        case .checkVersion:
            _ = try await auth.authenticate(caller, target: host)
            return Self.version
        case .listCatalog:
            let identity = try await auth.admitToCatalog(caller, target: host)
            return try await listCatalog(of: identity, on: host, target)
        case .repository(let operation):
            guard let (slug, name) = host.split(path.name) else {
                throw OCIFailure.nameInvalid(isPathForm: host.isPathForm)
            }
            let (principal, organization) = try await admit(caller, host, slug, name, operation)
            let admitted = RegistryRequest(
                request: request,
                context: context,
                target: target,
                host: host,
                principal: principal,
                organization: organization,
                name: name)
            let response = try await perform(operation, admitted)
            if operation.changes, (200..<300).contains(response.status.code) { audit.record(admitted.event(operation)) }
            return response
        }
    }

    private func admit(
        _ caller: Caller, _ host: RegistryHost, _ slug: OrganizationSlug, _ name: RepositoryName,
        _ operation: RepositoryOperation
    ) async throws -> (Principal, Organization) {
        do throws(AuthRefusal) {
            return try await auth.admit(
                caller, target: host, organization: slug, repository: name, action: operation.requiredRight,
                content: operation.content)
        } catch {
            audit.denied(
                error, caller, organization: slug.text, action: operation.name, target: "\(name)\(operation.subject)")
            guard case .invisibleContent = error.kind else { throw error }
            throw operation.absence
        }
    }

    private func perform(_ operation: RepositoryOperation, _ request: RegistryRequest) async throws -> Response {
        switch operation {
        case .getBlob(let digest): try await getBlob(digest, request)
        case .headBlob(let digest): try await headBlob(digest, request)
        case .deleteBlob(let digest): try await deleteBlob(digest, request)
        case .startUpload: try await startUpload(request)
        case .getUploadStatus(let id): try await getUploadStatus(id, request)
        case .appendToUpload(let id): try await appendToUpload(id, request)
        case .finishUpload(let id): try await finishUpload(id, request)
        case .cancelUpload(let id): try await cancelUpload(id, request)
        case .getManifest(let reference): try await getManifest(reference, request)
        case .headManifest(let reference): try await headManifest(reference, request)
        case .putManifest(let reference): try await putManifest(reference, request)
        case .deleteManifest(let reference): try await deleteManifest(reference, request)
        case .listTags: try await listTags(request)
        case .listReferrers(let digest): try await listReferrers(digest, request)
        }
    }

    private static let version = Response.bytes(.ok, Array("{}".utf8), contentType: "application/json")

    /// The repository of a request that only reads.
    /// - Throws: 404, the same as for a repository that the client may not see.
    func existingRepository(_ request: RegistryRequest) async throws -> Int64 {
        guard let id = try await index.repository(request.name, in: request.organization) else {
            throw OCIFailure.nameUnknown
        }
        return id
    }
}
