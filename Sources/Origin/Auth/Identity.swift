// SPDX-License-Identifier: Apache-2.0

package import OCI
package import OriginMetadata

/// Who presented a credential: one stored token and what it stands for.
package struct Identity: Sendable, Hashable {
    package let tokenID: Int64
    package let kind: TokenKind
    package let tokenName: String
    package let holder: TokenRecord.Holder

    package init(_ record: TokenRecord) {
        tokenID = record.id
        kind = record.kind
        tokenName = record.name
        holder = record.holder
    }

    /// What of an organization the identity reaches.
    package enum Reach: Sendable, Hashable {
        /// As far as it may know, the organization does not exist.
        case nothing
        case everything
        /// What is named by the project's id or below it, and what is linked to it.
        case project(Int64, publicID: String)
        /// One repository; of it one manifest and what that refers to, if there is a reference.
        case repository(Int64, name: RepositoryName, reference: String?)
    }

    package func reach(inOrganization id: Int64) -> Reach {
        switch holder {
        case .user(_, _, let isAdministrator, let roles): isAdministrator || roles[id] != nil ? .everything : .nothing
        case .organization(id): .everything
        case .project(let projectID, let publicID, id): .project(projectID, publicID: publicID)
        case .repository(let repositoryID, let name, let reference, id):
            .repository(repositoryID, name: name, reference: reference)
        case .organization, .project, .repository: .nothing
        }
    }

    package func sees(_ organization: Organization) -> Bool { reach(inOrganization: organization.id) != .nothing }

    /// What it does where it reaches. A pull token reads, and all others do everything.
    package var actions: Set<Action> { kind == .pull ? [.pull] : Set(Action.allCases) }

    package var isAdministrator: Bool {
        if case .user(_, _, let isAdministrator, _) = holder { isAdministrator } else { false }
    }

    /// What it is in an organization; `nil` unless it reaches all of it. Its own token is a member of an organization.
    package func role(inOrganization id: Int64) -> Role? {
        switch holder {
        case .user(_, _, let isAdministrator, let roles): isAdministrator ? .owner : roles[id]
        case .organization(id): .member
        case .organization, .project, .repository: nil
        }
    }

    /// The repositories that it may list.
    package var listed: RepositoryFilter {
        switch holder {
        case .user(_, _, true, _): .all
        case .user(_, _, false, let roles): .organizations(roles.keys.sorted())
        case .organization(let id): .organizations([id])
        case .project(let id, _, _): .project(id)
        case .repository(let id, _, _, _): .repository(id)
        }
    }

    /// As `listed`, of one organization; `nil`: none.
    package func listed(inOrganization id: Int64) -> RepositoryFilter? {
        switch reach(inOrganization: id) {
        case .nothing: nil
        case .everything: .organizations([id])
        case .project(let projectID, _): .project(projectID)
        case .repository(let repositoryID, _, _): .repository(repositoryID)
        }
    }

    /// The organizations that it may list; `nil`: all.
    package var organizationIDs: [Int64]? {
        switch holder {
        case .user(_, _, true, _): nil
        case .user(_, _, false, let roles): roles.keys.sorted()
        case .organization(let id), .project(_, _, let id), .repository(_, _, _, let id): [id]
        }
    }

    /// As the audit log names it.
    package var actor: String {
        if case .user(_, let name, _, _) = holder { return "user \(name) (token \(tokenID))" }
        return "\(kind.rawValue) token \(tokenID) (\(tokenName))"
    }
}

/// An identity as it acts in one request.
package struct Principal: Sendable {
    package let identity: Identity
    /// `nil`: the token itself was presented (Basic) and carries all rights of the identity.
    /// Otherwise a registry token was, and only its scopes count.
    package let grantedScopes: [Scope]?
    /// Whether it may list repositories: of a registry token, if that was asked for.
    package let listsCatalog: Bool

    package init(identity: Identity, grantedScopes: [Scope]?, listsCatalog: Bool) {
        self.identity = identity
        self.grantedScopes = grantedScopes
        self.listsCatalog = listsCatalog
    }

    /// Whether the registry token, if one was presented, covers the action.
    func covers(_ action: Action, organization: OrganizationSlug, repository: RepositoryName) -> Bool {
        guard let grantedScopes else { return true }
        return grantedScopes.contains {
            $0.actions.contains(action) && $0.name == repository && $0.organization == organization
        }
    }
}
