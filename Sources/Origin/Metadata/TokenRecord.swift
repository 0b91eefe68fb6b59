// SPDX-License-Identifier: Apache-2.0

package import FoundationEssentials
package import OCI

package enum TokenKind: String, Sendable, CaseIterable, SQLTextDecodable {
    case user, organization, project, trust, pull
}

/// What a user is in an organization.
package enum Role: String, Sendable, CaseIterable, SQLTextDecodable {
    /// Members, tokens and trust relationships are the owners' business, too.
    case owner
    /// Repositories and projects.
    case member
}

/// A token without its secret, of which only the SHA-256 is stored, and all that its rights follow from.
package struct TokenRecord: Sendable, Hashable, Identifiable {
    /// Who holds a token, and what it reaches at most.
    package enum Holder: Sendable, Hashable {
        /// All organizations the user is in, or all there are.
        case user(id: Int64, name: String, isAdministrator: Bool, roles: [Int64: Role])
        case organization(Int64)
        /// What is named by the project's id, or linked to it.
        case project(Int64, publicID: String, organizationID: Int64)
        /// One repository; of it one manifest and what that refers to, if there is a reference.
        case repository(Int64, name: RepositoryName, reference: String?, organizationID: Int64)
    }

    package let id: Int64
    package let kind: TokenKind
    package let holder: Holder
    package let name: String
    package let createdAt: Date
    package let expiresAt: Date?
    package let revokedAt: Date?
    /// Some time after the last use that is known of; `nil`: none.
    package let lastUsedAt: Date?
    /// The token that a pull token was made with. Once that is revoked, so is this.
    package let madeWith: Int64?

    package init(
        id: Int64,
        kind: TokenKind,
        holder: Holder,
        name: String,
        createdAt: Date = Date(timeIntervalSince1970: 0),
        expiresAt: Date? = nil,
        revokedAt: Date? = nil,
        lastUsedAt: Date? = nil,
        madeWith: Int64? = nil
    ) {
        self.id = id
        self.kind = kind
        self.holder = holder
        self.name = name
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.lastUsedAt = lastUsedAt
        self.madeWith = madeWith
    }

    /// Columns of `token_details`: id, kind, name, created_at, expires_at, revoked_at, last_used_at; organization_id;
    /// user: id, name, is_administrator, roles; project: id, public_id; repository: id, name; reference; secret_sha256;
    /// made_with.
    init(_ row: Row) throws(DatabaseError) {
        id = try row[0]
        kind = try row[1]
        name = try row[2]
        createdAt = try row[3]
        expiresAt = try row[optional: 4]
        revokedAt = try row[optional: 5]
        lastUsedAt = try row[optional: 6]
        madeWith = try row[optional: 18]
        if let userID: Int64 = try row[optional: 8] {
            holder = .user(
                id: userID, name: try row[9], isAdministrator: try row[10], roles: try Self.roles(row[optional: 11]))
        } else if let projectID: Int64 = try row[optional: 12] {
            holder = .project(projectID, publicID: try row[13], organizationID: try row[7])
        } else if let repositoryID: Int64 = try row[optional: 14] {
            holder = .repository(
                repositoryID, name: try row[15], reference: try row[optional: 16], organizationID: try row[7])
        } else {
            holder = .organization(try row[7])
        }
    }

    /// `ORGANIZATION ID:ROLE`, separated by commas.
    private static func roles(_ text: String?) throws(DatabaseError) -> [Int64: Role] {
        var roles: [Int64: Role] = [:]
        for item in text?.split(separator: ",") ?? [] {
            let parts = item.split(separator: ":")
            guard parts.count == 2, let id = Int64(parts[0]), let role = Role(rawValue: String(parts[1])) else {
                throw DatabaseError(.invalidData, message: "a list of memberships is malformed")
            }
            roles[id] = role
        }
        return roles
    }
}
