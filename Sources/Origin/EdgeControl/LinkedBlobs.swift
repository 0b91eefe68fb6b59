// SPDX-License-Identifier: Apache-2.0

package import Blocking
import Grammar
import HTTPServer
import HTTPTypes
package import Hummingbird
import OCI
package import OriginBlobStore
package import OriginHTTP
import OriginMetadata
import SignedURL
package import Telemetry

/// `/b/v1/`: the origin as the parent of edges. Same links, checks and answers as at an edge, under the edge id
/// `origin`; only fills hold such links.
package struct LinkedBlobs: RouteGroup {
    /// No edge has this id: theirs are 16 characters long.
    package static let edgeID = "origin"

    private let verifier: LinkVerifier
    private let locator: BlobLocator
    private let store: any BlobStore
    private let diskPool: BlockingPool
    private let clock: Fleet.Clock
    private let servedBytes: Counter

    package init(
        masters: LinkMasters,
        linkTimeToLiveSeconds: Int64,
        locator: BlobLocator,
        store: any BlobStore,
        diskPool: BlockingPool,
        clock: Fleet.Clock = .system,
        metrics: Metrics
    ) {
        verifier = LinkVerifier(
            edgeID: Self.edgeID,
            keys: masters.keys(forEdge: Self.edgeID).map(\.key),
            timeToLive: .seconds(linkTimeToLiveSeconds))
        self.locator = locator
        self.store = store
        self.diskPool = diskPool
        self.clock = clock
        servedBytes = metrics.counter(
            "depot_origin_blob_bytes_total",
            help: "Bytes of blobs sent: to clients (direct) or to edges (fill).",
            labels: [("via", "fill")])
    }

    package var prefixes: [String] { ["/b"] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        let isHead = request.method == .head
        guard isHead || request.method == .get else {
            return .plain(.methodNotAllowed, "method not allowed", headers: [.allow: "GET, HEAD"])
        }
        let link: Link
        do throws(LinkRefusal) {
            link = try verifier.verify(
                target: request.head.path ?? "", now: clock.unixSeconds, expiry: .enforced)
        } catch {
            return Self.answer(to: error)
        }
        guard let record = try await locator.blob(link.digest), record.sizeBytes == link.sizeBytes,
            let key = BlobKey(record.storageKey)
        else { return .plain(.notFound, "blob unknown", headers: [.cacheControl: "no-store"]) }
        return try await serve(link, key, isHead: isHead, fields: request.headers, context)
    }

    private func serve(
        _ link: Link,
        _ key: BlobKey,
        isHead: Bool,
        fields: HTTPFields,
        _ context: OriginRequestContext
    ) async throws -> Response {
        let entityTag = "\"\(link.digest)\""
        var headers: HTTPFields = [
            .contentType: "application/octet-stream",
            .acceptRanges: "bytes",
            .eTag: entityTag,
            .cacheControl: "public, max-age=31536000, immutable",
            .xContentTypeOptions: "nosniff",
        ]
        if isHead { return .empty(.ok, headers: headers, contentLength: link.sizeBytes) }
        let isRangeWanted = Precondition.rangeApplies(ifRange: fields[.ifRange], entityTag: entityTag)
        let range: Range<Int64>
        let status: HTTPResponse.Status
        switch RangeSelection(header: isRangeWanted ? fields[.range] : nil, sizeBytes: link.sizeBytes) {
        case .whole:
            (range, status) = (0..<link.sizeBytes, .ok)
        case .part(let part):
            (range, status) = (part, .partialContent)
            headers[.contentRange] = ContentRange.part(part, ofBytes: link.sizeBytes)
        case .unsatisfiable:
            headers[.contentRange] = ContentRange.unsatisfied(sizeBytes: link.sizeBytes)
            return .empty(.rangeNotSatisfiable, headers: headers)
        }
        let store = store
        guard let stored = try await diskPool.run({ try store.open(key) }), stored.sizeBytes == link.sizeBytes else {
            // A row without its file is damage, not absence: never a 404.
            throw BlobStoreError(.io, "the file of blob \(link.digest) is missing or has another size")
        }
        let servedBytes = servedBytes
        return try await FileBody.response(
            file: stored.file, range: range, status: status, headers: headers, context: context,
            sent: { servedBytes.add(Int($0)) })
    }

    /// The answers of the link table in `Docs/architecture.md`.
    private static func answer(to refusal: LinkRefusal) -> Response {
        switch refusal {
        case .malformed: .plain(.badRequest, "not a link")
        case .forbidden: .plain(.forbidden, "forbidden")
        case .expired: .plain(.forbidden, "the link has expired", headers: [.depotReason: "expired"])
        }
    }
}
