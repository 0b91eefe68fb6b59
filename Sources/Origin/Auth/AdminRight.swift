// SPDX-License-Identifier: Apache-2.0

package import OriginMetadata

/// What a route of the admin API asks of who calls it. The places are those that the path names.
package enum AdminRight: String, Sendable, Hashable, CaseIterable {
    /// Nothing: not even a credential.
    case nothing
    /// Any credential that counts.
    case credential
    /// A user who administers the deployment.
    case administrator
    /// That user, or an administrator.
    case user
    /// A member or an owner of the organization, its token, or an administrator.
    case member
    /// An owner of the organization, or an administrator.
    case owner
    /// As `member`, or a token of the project that may push.
    case project
}

/// What a path of the admin API names.
package struct AdminPlace: Sendable, Hashable {
    package var organization: String?
    /// Public id.
    package var project: String?
    package var user: String?

    package init(organization: String? = nil, project: String? = nil, user: String? = nil) {
        self.organization = organization
        self.project = project
        self.user = user
    }
}

/// Who was let in, and what the path named.
package struct AdminAdmission: Sendable {
    /// `nil` only where nothing is asked.
    package let identity: Identity?
    package let organization: Organization?
    package let project: Project?
}
