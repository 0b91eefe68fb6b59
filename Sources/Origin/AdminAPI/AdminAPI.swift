// SPDX-License-Identifier: Apache-2.0

import Grammar
import HTTPTypes
package import Hummingbird
import OCI
package import OriginAuth
package import OriginEdgeControl
package import OriginHTTP
import OriginMetadata
import Telemetry

/// `/api/v1` on the admin listener: what the command line speaks. JSON in and out, problem documents (RFC 9457) for
/// refusals. One table of routes, each with the right that it needs; the gate decides before a body is read.
package struct AdminAPI: RouteGroup {
    static let prefix = "/api/v1"
    private static let bodyBytesMax = 64 * 1024

    private let auth: AuthService
    private let audit: AuditLog
    let routes: [AdminRoute]

    package init(
        changes: AdminChanges, audit: AuditLog, privateHosts: Set<String>, keys: KeyKeeper, bootstrap: Bootstrap,
        enrollment: EdgeEnrollment, fleet: Fleet
    ) {
        auth = changes.auth
        self.audit = audit
        let parts: [[AdminRoute]] = [
            DeploymentRoutes(changes: changes, keys: keys, bootstrap: bootstrap, audit: audit).routes,
            IdentityRoutes(auth: changes.auth).routes,
            OrganizationRoutes(changes: changes).routes,
            UserRoutes(changes: changes).routes,
            ProjectRoutes(changes: changes).routes,
            RepositoryRoutes(changes: changes).routes,
            TokenRoutes(changes: changes).routes,
            TrustRoutes(changes: changes, privateHosts: privateHosts).routes,
            AuditRoutes(database: changes.database).routes,
            EdgeRoutes(changes: changes, enrollment: enrollment, fleet: fleet).routes,
        ]
        let described = parts.flatMap(\.self)
        routes = described + [OpenAPIDocument.route(describing: described)]
    }

    package var prefixes: [String] { [Self.prefix] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        do {
            return try await answer(request, context)
        } catch let problem as Problem {
            return problem.response
        } catch is BodyTooLarge {
            return Problem(.contentTooLarge, "the body is larger than \(Self.bodyBytesMax) bytes").response
        } catch let error as DatabaseError where error.isDatabaseAway {
            return .failure(.serviceUnavailable, requestID: request.requestID, retryAfterSeconds: 1)
        }
    }

    private func answer(_ request: Request, _ context: OriginRequestContext) async throws -> Response {
        let target = RawTarget(request)
        let caller = Caller(request, context)
        let (route, parameters) = try await find(target.path, request.method, caller)
        let place = AdminPlace(
            organization: parameters["organization"], project: parameters["project"], user: parameters["user"])
        let admission: AdminAdmission
        do throws(AuthRefusal) {
            admission = try await auth.admit(caller, to: route.right, at: place)
        } catch {
            audit.denied(error, caller, organization: place.organization, action: route.name, target: "\(target.path)")
            guard error.kind != .unavailable else {
                return .failure(.serviceUnavailable, requestID: request.requestID, retryAfterSeconds: 1)
            }
            throw Problem(error)
        }
        let admitted = AdminRequest(
            route: route, caller: caller, parameters: parameters, admission: admission,
            body: try await body(of: request, context, for: route), query: try Self.query(target, for: route))
        return try await Self.response(route, route.perform(admitted))
    }

    /// - Throws: 401 before anything about paths, unless the caller may know them; then 404, or 405 with `Allow`.
    private func find(
        _ path: Substring, _ method: HTTPRequest.Method, _ caller: Caller
    ) async throws -> (AdminRoute, [String: String]) {
        let segments = path.dropFirst(Self.prefix.utf8.count + 1).split(
            separator: "/", omittingEmptySubsequences: false)
        let matches = routes.compactMap { route in route.path.match(segments).map { (route, $0) } }
        if let match = matches.first(where: { $0.0.method == method }) { return match }
        do throws(AuthRefusal) { _ = try await auth.admit(caller, to: .credential, at: AdminPlace()) } catch {
            throw Problem(error)
        }
        guard !matches.isEmpty else { throw Problem.notFound }
        throw Problem(
            .methodNotAllowed, "the method is not one of this resource",
            headers: [.allow: matches.map(\.0.method.rawValue).joined(separator: ", ")])
    }

    private func body(
        of request: Request, _ context: OriginRequestContext, for route: AdminRoute
    ) async throws -> JSONValue {
        guard let schema = route.body else { return [:] }
        let bytes = try await collectBody(request, context: context, bytesMax: Self.bodyBytesMax)
        let document: JSONValue
        if bytes.isEmpty {
            document = [:]
        } else {
            guard let parsed = try? BoundedJSON.parse(bytes, limits: JSONLimits(bytesMax: Self.bodyBytesMax)) else {
                throw Problem(.badRequest, "the body is not JSON")
            }
            document = parsed
        }
        try schema.check(document)
        return document
    }

    private static func query(_ target: RawTarget, for route: AdminRoute) throws(Problem) -> FormItems {
        let items: FormItems
        do throws(FormItems.Failure) { items = try FormItems(target.query) } catch {
            throw Problem(.badRequest, "the query cannot be decoded")
        }
        if let unknown = items.names.first(where: { name in !route.query.contains { $0.name == name } }) {
            throw Problem(.badRequest, "unknown parameter \"\(unknown.prefix(64))\"")
        }
        for name in items.names {
            guard let value = items.only(name) else { throw Problem(.badRequest, "\(name) is given more than once") }
            // Which no text of the database can hold.
            guard !value.utf8.contains(0) else { throw Problem(.badRequest, "\(name) has NUL in it") }
        }
        return items
    }

    private static func response(_ route: AdminRoute, _ answer: AdminAnswer) -> Response {
        let headers: HTTPFields = [.cacheControl: "no-store"]
        return switch answer {
        case .document(let body):
            .bytes(route.status, body.encode(), contentType: "application/json", headers: headers)
        case .found(let body): .bytes(.ok, body.encode(), contentType: "application/json", headers: headers)
        case .nothing: .empty(.noContent, headers: headers)
        case .response(let response): response
        }
    }
}
