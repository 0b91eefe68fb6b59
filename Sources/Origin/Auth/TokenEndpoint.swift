// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Grammar
import HTTPTypes
package import Hummingbird
import OCI
package import OriginHTTP
import OriginMetadata
package import Telemetry

/// `/token`: trades a token for a registry token, by GET with Basic (docker, podman) or by POST of an OAuth2 form
/// (containerd asks this way first and falls back to GET only on 400, 401, 404 and 405).
///
/// There is no refresh token of its own kind: a client that keeps one keeps the token it logged in with.
package struct TokenEndpoint: RouteGroup {
    private static let formBytesMax = 64 * 1024

    private let auth: AuthService
    private let hosts: HostPolicy

    package init(auth: AuthService, hosts: HostPolicy) {
        self.auth = auth
        self.hosts = hosts
    }

    package var prefixes: [String] { ["/token"] }

    package func respond(to request: Request, context: OriginRequestContext) async throws -> Response {
        let target = RawTarget(request)
        guard target.path == "/token" else { return .plain(.notFound, "404 page not found") }
        guard let host = hosts.resolve(request.head.authority, isTLS: context.isTLS) else { return .misdirected }
        let caller = Caller(request, context)
        do {
            switch request.method {
            case .get:
                return try await answer(.query(target.query), caller, host: host, context)
            case .post:
                return try await answer(form(request, context), caller, host: host, context)
            default:
                return .plain(.methodNotAllowed, "method not allowed", headers: [.allow: "GET, POST"])
            }
        } catch let fault as TokenRequest.Fault {
            return .ociErrors(.badRequest, [OCIError(code: fault.code, message: fault.message)])
        } catch let refusal as AuthRefusal {
            return .refusal(refusal, requestID: request.requestID)
        } catch is BodyTooLarge {
            return .plain(.contentTooLarge, "the form is too large")
        }
    }

    private func form(_ request: Request, _ context: OriginRequestContext) async throws -> TokenRequest {
        let mediaType = (request.headers[.contentType] ?? "").prefix { $0 != ";" && $0 != " " }.lowercased()
        guard mediaType == "application/x-www-form-urlencoded" else {
            throw TokenRequest.Fault(code: .unsupported, message: "send a form: application/x-www-form-urlencoded")
        }
        return try await .form(collectBody(request, context: context, bytesMax: Self.formBytesMax))
    }

    private func answer(
        _ asked: TokenRequest,
        _ caller: Caller,
        host: RegistryHost,
        _ context: OriginRequestContext
    ) async throws -> Response {
        let service: RegistryHost
        if let name = asked.service {
            guard let named = hosts.resolve(name, isTLS: context.isTLS) else {
                throw TokenRequest.Fault(code: .unsupported, message: "service is not this registry")
            }
            service = named
        } else {
            service = host
        }
        if case .identityToken(let text, let project) = asked.credential {
            return try await exchange(text, project: project, caller, service)
        }
        let scopes = try asked.scopes(on: service)
        let identity = try await identity(asked.credential, caller, service: service)
        let issued = try await auth.issueToken(
            for: identity, scopes: scopes, listsCatalog: asked.asksForCatalog, service: service.service)
        let issuedAt = Date(timeIntervalSince1970: Double(issued.issuedAtUnixSeconds)).formatted(.iso8601)
        let body = JSONValue.object([
            JSONMember(name: "token", value: .string(issued.token)),
            JSONMember(name: "access_token", value: .string(issued.token)),
            JSONMember(name: "expires_in", value: .number(String(issued.expiresInSeconds))),
            JSONMember(name: "issued_at", value: .string(issuedAt)),
        ])
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: [.cacheControl: "no-store"])
    }

    /// Here the challenge names Basic: a bearer token is what this endpoint gives out.
    private static func challenge(_ service: RegistryHost) -> String {
        "Basic realm=\"\(service.service)\",charset=\"UTF-8\""
    }

    /// RFC 8693 §2.2.1. The token is one of ours: it logs in, as any other does.
    private func exchange(
        _ text: String, project: String?, _ caller: Caller, _ service: RegistryHost
    ) async throws -> Response {
        let made: (text: TokenText, record: TokenRecord)
        do throws(CredentialFault) {
            made = try await auth.exchange(text, project: project, of: caller)
        } catch {
            throw error.refusal(challenge: Self.challenge(service))
        }
        let seconds = made.record.expiresAt.map { max(0, Int64($0.timeIntervalSinceNow)) } ?? 0
        let body: JSONValue = [
            "access_token": .string(made.text.secret),
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer",
            "expires_in": .integer(seconds),
        ]
        return .bytes(.ok, body.encode(), contentType: "application/json", headers: [.cacheControl: "no-store"])
    }

    private func identity(
        _ credential: TokenRequest.Credential,
        _ caller: Caller,
        service: RegistryHost
    ) async throws(AuthRefusal) -> Identity {
        let challenge = Self.challenge(service)
        switch credential {
        case .identityToken:
            throw AuthRefusal(.malformed, "an identity token is exchanged, not presented as this")
        case .secret(let secret):
            do throws(CredentialFault) {
                return try await auth.identity(ofSecret: secret, of: caller)
            } catch {
                throw error.refusal(challenge: challenge)
            }
        case .header:
            do throws(AuthRefusal) {
                let principal = try await auth.authenticate(caller, target: service)
                guard principal.grantedScopes == nil else {
                    throw AuthRefusal(.unauthorized, "a registry token does not buy another one")
                }
                return principal.identity
            } catch {
                throw error.kind == .unauthorized
                    ? AuthRefusal(.unauthorized, error.message, challenge: challenge) : error
            }
        }
    }
}

extension Response {
    /// RFC 9110 §15.5.20: the host called is none of this registry's.
    package static var misdirected: Response { .plain(.misdirectedRequest, "this host is not served here") }

    /// The answer to a refused request, with its challenge if it has one.
    package static func refusal(_ refusal: AuthRefusal, requestID: Telemetry.RequestID) -> Response {
        guard let code = refusal.code else {
            return .failure(
                .serviceUnavailable, requestID: requestID, retryAfterSeconds: refusal.retryAfterSeconds)
        }
        return .ociErrors(
            HTTPResponse.Status(integerLiteral: refusal.status), [OCIError(code: code, message: refusal.message)],
            headers: refusal.headers)
    }
}
