// SPDX-License-Identifier: Apache-2.0

package import OCI
package import OriginMetadata

/// What a request does to a repository. Mounting a blob from another repository is `pull` there.
package enum Action: String, Sendable, Hashable, CaseIterable {
    case pull, push, delete
}

/// Actions on one repository, by its canonical name: the same text whichever host was called.
package struct Scope: Sendable, Hashable {
    package let organization: OrganizationSlug
    package let name: RepositoryName
    package let actions: Set<Action>

    package init(organization: OrganizationSlug, name: RepositoryName, actions: Set<Action>) {
        self.organization = organization
        self.name = name
        self.actions = actions
    }

    /// `repository:NAME:pull,push` in the name form of `host`; actions in the order clients write them.
    package func text(on host: RegistryHost) -> String {
        let actions = Action.allCases.filter(actions.contains).map(\.rawValue).joined(separator: ",")
        return "repository:\(host.name(of: name, in: organization)):\(actions)"
    }
}

/// The scope of the list of repositories, as clients write it (distribution, "Token Scope Documentation").
package enum CatalogScope {
    package static let text = "registry:catalog:*"
}

/// Who presented a credential: one stored token and what it stands for.
package struct Identity: Sendable, Hashable {
    package let tokenID: Int64
    package let kind: TokenKind
    package let organizationID: Int64?
    package let userID: Int64?
    package let isAdministrator: Bool

    package init(tokenID: Int64, kind: TokenKind, organizationID: Int64?, userID: Int64?, isAdministrator: Bool) {
        self.tokenID = tokenID
        self.kind = kind
        self.organizationID = organizationID
        self.userID = userID
        self.isAdministrator = isAdministrator
    }

    package init(_ record: TokenRecord) {
        self.init(
            tokenID: record.id,
            kind: record.kind,
            organizationID: record.organizationID,
            userID: record.userID,
            isAdministrator: record.isAdministrator)
    }

    /// Whether the organization exists as far as this identity may know.
    package func sees(_ organization: Organization) -> Bool {
        isAdministrator || organizationID == organization.id
    }

    /// What the identity may do in an organization it sees.
    package func rights(in organization: Organization) -> Set<Action> {
        guard sees(organization) else { return [] }
        return kind == .pull ? [.pull] : Set(Action.allCases)
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
