// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
package import Hummingbird
import OCI
package import OriginAuth
package import OriginEdgeControl
package import OriginHTTP
import OriginMetadata

/// `/api/v1` on the admin listener: what the command line speaks. JSON in and out, problem documents (RFC 9457) for
/// refusals, an administrator's token for everything.
package struct AdminAPI: RouteGroup {
    private static let bodyBytesMax = 64 * 1024

    private let auth: AuthService
    private let enrollment: EdgeEnrollment
    private let fleet: Fleet

    package init(auth: AuthService, enrollment: EdgeEnrollment, fleet: Fleet) {
        self.auth = auth
        self.enrollment = enrollment
        self.fleet = fleet
    }

    package var prefixes: [String] { ["/api/v1"] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        do {
            _ = try await auth.administrator(authorization: request.headers[values: .authorization])
            switch (RawTarget(request).path, request.method) {
            case ("/api/v1/edges", .get): return try listEdges()
            case ("/api/v1/edges", .post): return try await createEdge(request, context)
            case ("/api/v1/edges", _):
                throw Problem(
                    .methodNotAllowed, "the method is not one of this resource", headers: [.allow: "GET, POST"])
            default:
                throw Problem(.notFound, "there is no such resource")
            }
        } catch let refusal as AuthRefusal {
            guard refusal.kind != .unavailable else {
                return .failure(.serviceUnavailable, requestID: request.requestID, retryAfterSeconds: 1)
            }
            return Problem(refusal).response
        } catch let problem as Problem {
            return problem.response
        } catch is BodyTooLarge {
            return Problem(.contentTooLarge, "the body is larger than \(Self.bodyBytesMax) bytes").response
        }
    }

    private func listEdges() throws -> Response {
        let edges = fleet.statuses.sorted { $0.record.name < $1.record.name }
        let body = JSONValue.object([JSONMember(name: "edges", value: .array(edges.map(EdgeDocument.status)))])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: [.cacheControl: "no-store"])
    }

    private func createEdge(_ request: Request, _ context: OriginRequestContext) async throws -> Response {
        let body = try await collectBody(request, context: context, bytesMax: Self.bodyBytesMax)
        do throws(EdgeEnrollmentError) {
            let description = try EdgeDocument.description(body, bytesMax: Self.bodyBytesMax)
            let (record, credential) = try await enrollment.create(description)
            return .bytes(
                .created, EdgeDocument.created(record, credential).encode(), contentType: "application/json",
                headers: [.cacheControl: "no-store"])
        } catch {
            switch error {
            case .invalid(let reason): throw Problem(.unprocessableContent, reason)
            case .nameTaken: throw Problem(.conflict, "there is an edge of this name")
            case .database(let error): throw error
            case .secrets(let error): throw error
            }
        }
    }
}

/// A refusal as RFC 9457 words it.
struct Problem: Error {
    let status: HTTPResponse.Status
    let detail: String
    let headers: HTTPFields

    init(_ status: HTTPResponse.Status, _ detail: String, headers: HTTPFields = [:]) {
        self.status = status
        self.detail = detail
        self.headers = headers
    }

    init(_ refusal: AuthRefusal) {
        var headers: HTTPFields = [:]
        if let challenge = refusal.challenge { headers[.wwwAuthenticate] = challenge }
        self.init(HTTPResponse.Status(integerLiteral: refusal.status), refusal.message, headers: headers)
    }

    var response: Response {
        let body = JSONValue.object([
            JSONMember(name: "title", value: .string(status.reasonPhrase)),
            JSONMember(name: "status", value: .number(String(status.code))),
            JSONMember(name: "detail", value: .string(detail)),
        ])
        return .bytes(status, body.encode(), contentType: "application/problem+json", headers: headers)
    }
}
