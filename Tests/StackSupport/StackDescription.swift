// SPDX-License-Identifier: Apache-2.0

import Foundation

/// `stack.json` of `Scripts/stack`, its names in camel case.
package struct StackDescription: Sendable, Codable {
    package struct Origin: Sendable, Codable {
        package let url: String
        package let adminUrl: String
        package let pid: Int32
        package let log: String
    }

    package struct Edge: Sendable, Codable {
        package let name: String
        package let id: String
        package let region: String
        package let url: String
        package let adminUrl: String
        package let cache: String
        package let log: String
        package let pid: Int32
    }

    package let origin: String
    package let origins: [Origin]
    package let originPid: Int32
    package let registry: String
    package let organization: String
    package let token: String
    package let adminToken: String
    package let databaseUrl: String
    package let edges: [Edge]
    /// PEM file of the authority that the programs' certificates come from; `nil` without TLS.
    package let certificateAuthority: String?

    /// `127.0.0.1:port` of the first origin, as clients write it.
    package var registryHost: String { String(registry.prefix { $0 != "/" }) }

    /// The credential of user `x-token` as the value of an `Authorization` header.
    package var basicAuthorization: String { "Basic " + Data("x-token:\(token)".utf8).base64EncodedString() }
}
