// SPDX-License-Identifier: Apache-2.0

package import OCI

/// What a request does to a repository. Mounting a blob from another repository is `pull` there.
package enum Action: String, Sendable, Hashable, CaseIterable {
    case pull, push, delete
}

/// What of a repository a request is about, as its path says: not yet validated.
package enum RequestedContent: Sendable, Equatable {
    /// The repository itself: its uploads, its list of tags.
    case whole
    /// By tag or digest.
    case manifest(Substring)
    /// By digest.
    case blob(Substring)
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
