// SPDX-License-Identifier: Apache-2.0

import Logging
package import OCI
package import OriginMetadata

/// The one gate: what a principal may do where.
///
/// | identity | registry token | answer |
/// |---|---|---|
/// | does not reach the repository | any | 404 |
/// | reaches it, lacks the right | any | 403 |
/// | has the right | lacks the action | 401 `insufficient_scope` |
/// | has the right | covers it, or the token itself | admitted |
/// | reaches one manifest of it | any | 404 for everything else |
extension AuthService {
    // MARK: The registry

    /// The organization of a request, and the principal that may do `action` to `repository` in it: authentication,
    /// visibility, right and scope, in this order.
    ///
    /// - Throws: `AuthRefusal` of every kind. Without a credential the answer does not depend on what exists.
    package func admit(
        _ caller: Caller,
        target: RegistryHost,
        organization slug: OrganizationSlug,
        repository: RepositoryName,
        action: Action,
        content: RequestedContent = .whole
    ) async throws(AuthRefusal) -> (principal: Principal, organization: Organization) {
        let needs = Scope(organization: slug, name: repository, actions: Self.challengedActions(for: action))
        let principal = try await authenticate(caller, target: target, needs: needs.text(on: target))
        guard let organization = try await organization(slug: slug) else { throw Self.invisible(principal) }
        let rights = try await rights(of: principal.identity, in: organization, to: repository)
        guard let rights else { throw Self.invisible(principal) }
        guard rights.contains(action) else {
            let reason =
                principal.identity.kind == .pull
                ? "pull token is read only" : "the token may not \(action.rawValue) here"
            throw AuthRefusal(.denied, reason, identity: principal.identity)
        }
        guard principal.covers(action, organization: slug, repository: repository) else {
            throw AuthRefusal(
                .unauthorized,
                "the registry token does not cover this action",
                challenge: target.challenge(scope: needs.text(on: target), error: .insufficientScope),
                identity: principal.identity)
        }
        guard try await reaches(content, principal.identity, in: organization) else {
            throw AuthRefusal(.invisibleContent, "not known to repository", identity: principal.identity)
        }
        return (principal, organization)
    }

    /// What an identity may do to a repository, whether or not that exists.
    /// - Returns: `nil` if it does not reach it.
    /// - Throws: `AuthRefusal` of kind unavailable.
    package func rights(
        of identity: Identity, in organization: Organization, to repository: RepositoryName
    ) async throws(AuthRefusal) -> Set<Action>? {
        switch identity.reach(inOrganization: organization.id) {
        case .nothing: return nil
        case .everything: return identity.actions
        case .project(let id, let publicID):
            if repository.text.prefix(while: { $0 != "/" }) == publicID { return identity.actions }
            return try await projectID(of: repository, in: organization) == id ? identity.actions : nil
        case .repository(_, let name, _): return repository == name ? identity.actions : nil
        }
    }

    private func reaches(
        _ content: RequestedContent, _ identity: Identity, in organization: Organization
    ) async throws(AuthRefusal) -> Bool {
        guard case .repository(let id, _, let reference?) = identity.reach(inOrganization: organization.id) else {
            return true
        }
        let text: Substring
        switch content {
        case .whole: return false
        case .manifest(let named) where named == reference: return true
        case .manifest(let other): text = other
        case .blob(let digest): text = digest
        }
        guard let digest = Digest(text) else { return false }
        do throws(DatabaseError) {
            return try await store.reaches(digest, from: reference, inRepository: id)
        } catch {
            logger.warning("credential look-up failed", metadata: ["error": "\(error)"])
            throw CredentialFault.storeUnavailable.refusal(challenge: nil)
        }
    }

    /// The identity whose repositories may be listed on this host.
    ///
    /// - Throws: `AuthRefusal` of kind malformed, unauthorized (with challenge), limited, unavailable.
    package func admitToCatalog(_ caller: Caller, target: RegistryHost) async throws(AuthRefusal) -> Identity {
        let principal = try await authenticate(caller, target: target, needs: CatalogScope.text)
        guard principal.listsCatalog else {
            throw AuthRefusal(
                .unauthorized,
                "the registry token does not cover the list of repositories",
                challenge: target.challenge(scope: CatalogScope.text, error: .insufficientScope))
        }
        return principal.identity
    }

    /// What a challenge asks for. A client that pushes also has to look: it would be sent back a second time.
    private static func challengedActions(for action: Action) -> Set<Action> {
        action == .push ? [.pull, .push] : [action]
    }

    private static func invisible(_ principal: Principal) -> AuthRefusal {
        AuthRefusal(.invisible, "repository name not known to registry", identity: principal.identity)
    }

    // MARK: The admin API

    /// Who may do what `right` asks for at `place`: authentication, visibility of each thing that the path names, right,
    /// in this order.
    ///
    /// - Throws: `AuthRefusal` of every kind but `invisibleContent`.
    package func admit(
        _ caller: Caller, to right: AdminRight, at place: AdminPlace
    ) async throws(AuthRefusal) -> AdminAdmission {
        guard right != .nothing else { return AdminAdmission(identity: nil, organization: nil, project: nil) }
        let identity = try await identity(of: caller)
        let hidden = AuthRefusal(.invisible, "there is no such resource", identity: identity)
        var organization: Organization?
        if let name = place.organization {
            guard let slug = OrganizationSlug(name), let found = try await self.organization(slug: slug),
                identity.sees(found)
            else { throw hidden }
            organization = found
        }
        let project = try await project(place.project, in: organization)
        if place.project != nil {
            guard let project, identity.reaches(project) else { throw hidden }
        }
        if case .user(_, let name, false, _) = identity.holder, let user = place.user, user != name { throw hidden }
        guard identity.has(right, in: organization, project: project, user: place.user) else {
            throw AuthRefusal(.denied, Self.reason(right), identity: identity)
        }
        return AdminAdmission(identity: identity, organization: organization, project: project)
    }

    private func project(_ publicID: String?, in organization: Organization?) async throws(AuthRefusal) -> Project? {
        guard let publicID, let organization else { return nil }
        do throws(DatabaseError) {
            return try await store.project(publicID, inOrganization: organization.id)
        } catch {
            throw CredentialFault.storeUnavailable.refusal(challenge: nil)
        }
    }

    private static func reason(_ right: AdminRight) -> String {
        switch right {
        case .nothing, .credential: "the token may not do this"
        case .administrator: "only an administrator of the deployment may do this"
        case .user: "only the user, or an administrator of the deployment, may do this"
        case .member: "only a member or a token of the organization may do this"
        case .owner: "only an owner of the organization may do this"
        case .project: "only a member of the organization, or a token of the project that may push, may do this"
        }
    }

    // MARK: Issuing

    /// A registry token for the part of `scopes` that the identity has rights to; the rest is left out in silence, as
    /// docker's token specification asks.
    package func issueToken(
        for identity: Identity,
        scopes: [Scope],
        listsCatalog: Bool = false,
        service: String
    ) async throws -> SignedJWT {
        var granted: [Scope] = []
        for scope in scopes {
            guard let organization = try await organization(slug: scope.organization),
                let rights = try await rights(of: identity, in: organization, to: scope.name)
            else { continue }
            let actions = scope.actions.intersection(rights)
            if !actions.isEmpty {
                granted.append(Scope(organization: scope.organization, name: scope.name, actions: actions))
            }
        }
        return try await tokens.issue(
            to: identity, scopes: granted, listsCatalog: listsCatalog, service: service,
            atUnixSeconds: clock.unixSeconds)
    }
}

extension Identity {
    fileprivate func reaches(_ project: Project) -> Bool {
        switch reach(inOrganization: project.organizationID) {
        case .everything: true
        case .project(project.id, _): true
        case .nothing, .project, .repository: false
        }
    }

    fileprivate func has(
        _ right: AdminRight, in organization: Organization?, project: Project?, user: String?
    ) -> Bool {
        let role = organization.flatMap { self.role(inOrganization: $0.id) }
        switch right {
        case .nothing, .credential: return true
        case .administrator: return isAdministrator
        case .user:
            guard case .user(_, let name, _, _) = holder else { return false }
            return isAdministrator || name == user
        case .member: return role != nil
        case .owner: return role == .owner
        case .project: return role != nil || (project.map(reaches) ?? false) && actions.contains(.push)
        }
    }
}
