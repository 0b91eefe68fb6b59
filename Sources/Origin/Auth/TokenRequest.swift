// SPDX-License-Identifier: Apache-2.0

import Grammar
package import OCI
import OriginHTTP

/// What a client asks of the token endpoint, by either of docker's two flows:
/// GET with a query and Basic, or an OAuth2 form by POST (distribution, "Token Authentication" and "OAuth2 Token").
package struct TokenRequest: Sendable, Equatable {
    package enum Credential: Sendable, Equatable {
        /// In the `Authorization` header.
        case header
        /// In the form, as password or as refresh token: the same secret.
        case secret(String)
        /// An identity token of a CI system, to be traded for a token of its project (RFC 8693 §2.1).
        case identityToken(String, project: String?)
    }

    /// Why a request is refused with 400.
    package struct Fault: Error, Equatable {
        package let code: OCIErrorCode
        package let message: String
    }

    package static let scopeCountMax = 32

    package let credential: Credential
    /// `nil`: the host called.
    package let service: String?
    /// Each of the form `TYPE:NAME:ACTIONS`, not yet parsed: their meaning depends on the service.
    package let scopeTexts: [String]

    package static func query(_ text: Substring?) throws(Fault) -> TokenRequest {
        try TokenRequest(items: items(text), credential: .header)
    }

    package static func form(_ body: [UInt8]) throws(Fault) -> TokenRequest {
        guard let text = String(validating: body, as: UTF8.self) else {
            throw Fault(code: .unsupported, message: "the form is not UTF-8")
        }
        let items = try items(text[...])
        let name: String
        switch items.only("grant_type") {
        case "password": name = "password"
        case "refresh_token": name = "refresh_token"
        case exchangeGrant: return try exchange(items)
        default:
            throw Fault(
                code: .unsupported, message: "grant_type must be password, refresh_token or \(exchangeGrant)")
        }
        guard let secret = items.only(name) else {
            throw Fault(code: .unsupported, message: "the form needs \(name) once")
        }
        return try TokenRequest(items: items, credential: .secret(secret))
    }

    private static let exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
    /// RFC 8693 §3: what an OpenID Connect issuer gives out goes by either name.
    private static let identityTokenTypes = [
        "urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:jwt",
    ]

    private static func exchange(_ items: FormItems) throws(Fault) -> TokenRequest {
        guard let token = items.only("subject_token"), let type = items.only("subject_token_type"),
            identityTokenTypes.contains(type)
        else {
            throw Fault(
                code: .unsupported,
                message: "the form needs subject_token once, and subject_token_type \(identityTokenTypes[0])")
        }
        return try TokenRequest(items: items, credential: .identityToken(token, project: items.only("project")))
    }

    private init(items: FormItems, credential: Credential) throws(Fault) {
        let services = items.all("service").filter { !$0.isEmpty }
        guard services.count <= 1 else { throw Fault(code: .unsupported, message: "service is given more than once") }
        let scopes = items.all("scope").flatMap { $0.split(separator: " ").map(String.init) }
        guard scopes.count <= Self.scopeCountMax else {
            throw Fault(code: .unsupported, message: "more than \(Self.scopeCountMax) scopes")
        }
        self.credential = credential
        self.service = services.first
        self.scopeTexts = scopes
    }

    private static func items(_ text: Substring?) throws(Fault) -> FormItems {
        do throws(FormItems.Failure) {
            return try FormItems(text)
        } catch {
            throw Fault(code: .unsupported, message: "the request is not a well-formed form")
        }
    }

    /// The scopes asked for, in the name form of `host`, one per repository. Resource types and actions that do not
    /// exist here, and names no repository can have here, are granted nothing.
    package func scopes(on host: RegistryHost) throws(Fault) -> [Scope] {
        var actions: [Scope: Set<Action>] = [:]
        var order: [Scope] = []
        for text in scopeTexts {
            guard let scope = try Self.scope(text, on: host) else { continue }
            let key = Scope(organization: scope.organization, name: scope.name, actions: [])
            if actions[key] == nil { order.append(key) }
            actions[key, default: []].formUnion(scope.actions)
        }
        return order.map { Scope(organization: $0.organization, name: $0.name, actions: actions[$0] ?? []) }
    }

    /// Whether the list of repositories is asked for.
    package var asksForCatalog: Bool { scopeTexts.contains(CatalogScope.text) }

    private static func scope(_ text: String, on host: RegistryHost) throws(Fault) -> Scope? {
        let malformed = Fault(code: .unsupported, message: "a scope must read TYPE:NAME:ACTIONS")
        // A name may hold a colon, in `HOST:PORT/…`; the type and the actions may not.
        guard let first = text.firstIndex(of: ":"), let last = text.lastIndex(of: ":"), first < last else {
            throw malformed
        }
        let type = text[..<first]
        let name = text[text.index(after: first)..<last]
        let actionNames = text[text.index(after: last)...].split(separator: ",", omittingEmptySubsequences: false)
        let isActionList = actionNames.allSatisfy { action in
            action == "*" || action.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        }
        guard !type.isEmpty, !name.isEmpty, isActionList else { throw malformed }
        guard type == "repository" || type.hasPrefix("repository(") else { return nil }
        guard let (organization, repository) = host.split(name) else {
            guard RepositoryName(name) != nil else {
                throw Fault(code: .nameInvalid, message: "invalid name in a scope")
            }
            return nil
        }
        let actions = actionNames.flatMap {
            $0 == "*" ? Action.allCases : Action(rawValue: String($0)).map { [$0] } ?? []
        }
        return Scope(organization: organization, name: repository, actions: Set(actions))
    }
}
