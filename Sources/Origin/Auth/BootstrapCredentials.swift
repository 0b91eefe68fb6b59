// SPDX-License-Identifier: Apache-2.0

import Hashing
package import OCI
package import OriginMetadata

/// What a new deployment's operator is told.
package struct BootstrapCredentials: Sendable {
    package static let jsonBytesMax = 4096
    private static let userName = "administrator"

    package let organization: OrganizationSlug
    package let token: TokenText
    package let administratorToken: TokenText

    package static func generate() -> BootstrapCredentials {
        BootstrapCredentials(
            organization: firstOrganization, token: .generate(.organization), administratorToken: .generate(.user))
    }

    /// Those that a one-time token stands for, together with the salt of its redemption.
    init(following token: BootstrapToken, salt: [UInt8]) {
        let master = token.secretBytes + salt
        self.init(
            organization: Self.firstOrganization, token: .derived(.organization, from: master),
            administratorToken: .derived(.user, from: master))
    }

    /// What the first start makes, in the words of the audit log.
    static var subject: String { "organization \(firstOrganization.text), user \(userName)" }

    private static var firstOrganization: OrganizationSlug {
        guard let organization = OrganizationSlug("demo") else { preconditionFailure("\"demo\" is a DNS label") }
        return organization
    }

    private init(organization: OrganizationSlug, token: TokenText, administratorToken: TokenText) {
        self.organization = organization
        self.token = token
        self.administratorToken = administratorToken
    }

    /// Reads back what `json` wrote.
    package init?(json: [UInt8]) {
        guard let document = try? BoundedJSON.parse(json, limits: JSONLimits(bytesMax: Self.jsonBytesMax)),
            let organization = document["organization"]?.stringValue.flatMap({ OrganizationSlug($0) }),
            let token = document["token"]?.stringValue.flatMap({ TokenText($0) }),
            let administratorToken = document["admin_token"]?.stringValue.flatMap({ TokenText($0) })
        else { return nil }
        self.init(organization: organization, token: token, administratorToken: administratorToken)
    }

    package var json: [UInt8] {
        JSONValue.object([
            JSONMember(name: "organization", value: .string(organization.text)),
            JSONMember(name: "token", value: .string(token.secret)),
            JSONMember(name: "admin_token", value: .string(administratorToken.secret)),
        ]).encode() + Array("\n".utf8)
    }

    /// For a terminal.
    package var message: String {
        """
        First start. These credentials are shown once and stored only as hashes:
          organization         \(organization.text)
          its token            \(token.secret)    (docker login -u x-token)
          administrator token  \(administratorToken.secret)    (DEPOT_TOKEN for depot-origin edge …)

        """
    }

    package var seed: BootstrapSeed {
        BootstrapSeed(
            organization: organization,
            organizationLabel: SecureRandom.label(16),
            organizationTokenSHA256: token.sha256,
            userName: Self.userName,
            userTokenSHA256: administratorToken.sha256)
    }
}
