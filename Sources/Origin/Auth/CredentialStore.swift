// SPDX-License-Identifier: Apache-2.0

package import OCI
package import OriginMetadata

/// What authentication asks of the metadata. PostgreSQL in the origin; a dictionary in tests.
package protocol CredentialStore: Sendable {
    func token(secretSHA256: [UInt8]) async throws(DatabaseError) -> TokenRecord?
    func token(id: Int64) async throws(DatabaseError) -> TokenRecord?
    func organization(slug: OrganizationSlug) async throws(DatabaseError) -> Organization?
    func project(_ publicID: String, inOrganization id: Int64) async throws(DatabaseError) -> Project?
    func repository(organizationID: Int64, name: RepositoryName) async throws(DatabaseError) -> Repository?
    func reaches(_ digest: Digest, from reference: String, inRepository id: Int64) async throws(DatabaseError) -> Bool
}

extension Database: CredentialStore {}
