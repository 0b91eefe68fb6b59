// SPDX-License-Identifier: Apache-2.0

package import Blocking
import EdgeProtocol
import FoundationEssentials
import Grammar
import HTTPTypes
package import Hummingbird
import OCI
package import OriginBlobStore
package import OriginHTTP
import OriginMetadata
import SignedURL

/// `/edge/v1`: what edges ask of origins. Every request is signed with the edge's join secret; every answer but the
/// control stream carries `Depot-MAC`, refusals of the signature excepted.
package struct EdgeAPI: RouteGroup {
    /// How old a client's link may be and still show that its edge may fetch the blob.
    static let fillLinkAgeMax = Duration.seconds(24 * 60 * 60)

    let fleet: Fleet
    let masters: LinkMasters
    let controls: ControlConnections
    let origins: OriginDirectory
    let locator: BlobLocator
    let store: any BlobStore
    let diskPool: BlockingPool
    let clock: Fleet.Clock
    private let verifier = RequestVerifier()

    package init(
        fleet: Fleet,
        masters: LinkMasters,
        controls: ControlConnections,
        origins: OriginDirectory,
        locator: BlobLocator,
        store: any BlobStore,
        diskPool: BlockingPool,
        clock: Fleet.Clock = .system
    ) {
        self.fleet = fleet
        self.masters = masters
        self.controls = controls
        self.origins = origins
        self.locator = locator
        self.store = store
        self.diskPool = diskPool
        self.clock = clock
    }

    package var prefixes: [String] { [EdgeAPIPath.prefix] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        let target = RawTarget(request)
        guard let route = EdgeRoute(path: target.path) else { return .plain(.notFound, "404 page not found") }
        guard request.method == route.method else {
            return .plain(.methodNotAllowed, "method not allowed", headers: [.allow: route.method.rawValue])
        }
        let body: [UInt8]
        do {
            body =
                route.method == .post
                ? try await collectBody(request, context: context, bytesMax: route.bodyBytesMax) : []
        } catch is BodyTooLarge {
            return .plain(.contentTooLarge, "the body is too large")
        }
        let path = request.head.path ?? ""
        let verified: VerifiedRequest
        do throws(RequestRefusal) {
            verified = try verify(request, path: path, body: body)
        } catch {
            return Self.answer(to: error)
        }
        // The edge may have been taken out since its signature was checked.
        guard let member = fleet.member(verified.edgeID) else { return Self.answer(to: .notGenuine) }
        if route == .control { return control(member, context) }
        let answer: EdgeAnswer
        do {
            answer = try await self.answer(route, body: body, member: member)
        } catch let error as DatabaseError where error.kind.isPassing {
            return .failure(.serviceUnavailable, requestID: request.requestID, retryAfterSeconds: 1)
        }
        return answer.response(to: verified, path: path)
    }

    private func verify(
        _ request: Request,
        path: String,
        body: [UInt8]
    ) throws(RequestRefusal) -> VerifiedRequest {
        try verifier.verify(
            method: request.method.rawValue,
            path: path,
            header: { name in
                guard let name = HTTPField.Name(name) else { return nil }
                let values = request.headers[values: name]
                return values.count == 1 ? values[0] : nil
            },
            body: body,
            now: clock.unixSeconds,
            keys: { id in fleet.member(id).flatMap { $0.record.isEnabled ? $0.joinKeys : nil } })
    }

    private func answer(_ route: EdgeRoute, body: [UInt8], member: FleetMember) async throws -> EdgeAnswer {
        switch route {
        case .control: preconditionFailure("the control stream has no whole answer")
        case .heartbeat: try heartbeat(body, member)
        case .keys: try keys(member)
        case .fills: try await fills(body, member)
        case .pieces(let digest): try await pieces(digest)
        }
    }

    private static func answer(to refusal: RequestRefusal) -> Response {
        switch refusal {
        case .notGenuine: .plain(.unauthorized, "not a request of a known edge")
        case .clockOff(let seconds): .plain(.unauthorized, "the edge's clock is off by \(seconds) seconds")
        case .replayed: .plain(.unauthorized, "the request was seen before")
        case .tooMany: .plain(.serviceUnavailable, "too many requests of this edge", headers: [.retryAfter: "1"])
        }
    }
}

/// A whole answer of `/edge/v1`, before it is authenticated.
struct EdgeAnswer {
    let status: HTTPResponse.Status
    let contentType: String
    let body: [UInt8]
    var headers: HTTPFields = [:]

    static func json(_ message: some EdgeMessage) throws -> EdgeAnswer {
        EdgeAnswer(status: .ok, contentType: "application/json", body: try message.json())
    }

    static func refused(_ status: HTTPResponse.Status, _ text: String) -> EdgeAnswer {
        EdgeAnswer(status: status, contentType: "text/plain; charset=utf-8", body: Array("\(text)\n".utf8))
    }

    func response(to request: VerifiedRequest, path: String) -> Response {
        var headers = headers
        headers[.cacheControl] = "no-store"
        headers[.depotMAC] = request.answerMAC(path: path, status: status.code, body: body)
        return .bytes(status, body, contentType: contentType, headers: headers)
    }
}

extension DatabaseError.Kind {
    /// Whether asking again shortly is worthwhile.
    var isPassing: Bool {
        switch self {
        case .unavailable, .overloaded, .timeout, .serialization: true
        case .uniqueViolation, .foreignKeyViolation, .schemaTooNew, .invalidData, .other: false
        }
    }
}

extension HTTPField.Name {
    static let depotMAC = Self(depot: EdgeAPIHeader.mac)
    static let depotSize = Self(depot: EdgeAPIHeader.size)
    static let depotReason = Self(depot: "depot-reason")

    private init(depot name: String) {
        guard let name = Self(name) else { preconditionFailure("\(name) is a token of RFC 9110") }
        self = name
    }
}
