// SPDX-License-Identifier: Apache-2.0

package import EdgeProtocol
import Hashing
package import OriginAuth
package import OriginMetadata
package import OriginSecrets

/// An edge to be made, as an administrator describes it.
package struct EdgeDescription: Sendable {
    package let name: String
    package let region: String
    package let latitude: Double?
    package let longitude: Double?
    package let url: BaseURL

    /// - Throws: `EdgeEnrollmentError.invalid`, naming what is wrong.
    package init(
        name: String,
        region: String,
        location: (latitude: Double, longitude: Double)?,
        url: String
    ) throws(EdgeEnrollmentError) {
        guard Self.isLabel(name) else { throw .invalid("name must be 1 to 63 of a-z, 0-9, '-' and '.'") }
        guard Self.isLabel(region) else { throw .invalid("region must be 1 to 63 of a-z, 0-9, '-' and '.'") }
        if let location {
            guard (-90...90).contains(location.latitude), (-180...180).contains(location.longitude) else {
                throw .invalid("location must be a latitude from -90 to 90 and a longitude from -180 to 180")
            }
        }
        guard let url = BaseURL(url) else { throw .invalid("url must be http[s]://HOST[:PORT]") }
        self.name = name
        self.region = region
        self.latitude = location?.latitude
        self.longitude = location?.longitude
        self.url = url
    }

    private static func isLabel(_ text: String) -> Bool {
        (1...63).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "-"), UInt8(ascii: "."): true
                default: false
                }
            }
    }
}

/// Why an edge is not made.
package enum EdgeEnrollmentError: Error, Sendable {
    /// The description cannot be used; the text is for the administrator.
    case invalid(String)
    case nameTaken
    case database(DatabaseError)
    case secrets(SecretsError)
}

/// Makes edges.
package struct EdgeEnrollment: Sendable {
    private static let idCharacters = 16

    private let database: Database
    private let wrapping: Wrapping
    private let hosts: HostPolicy
    private let directory: EdgeDirectory
    private let originURL: @Sendable () -> BaseURL

    /// - Parameter originURL: Where an edge first asks; from there it learns of all origins.
    package init(
        database: Database,
        wrapping: Wrapping,
        hosts: HostPolicy,
        directory: EdgeDirectory,
        originURL: @escaping @Sendable () -> BaseURL
    ) {
        self.database = database
        self.wrapping = wrapping
        self.hosts = hosts
        self.directory = directory
        self.originURL = originURL
    }

    /// Stores the edge under a new random id and returns the credential it joins with; that is not stored in the clear
    /// and cannot be shown again. This origin knows the edge when the call returns, others within two seconds.
    package func create(
        _ edge: EdgeDescription
    ) async throws(EdgeEnrollmentError) -> (record: EdgeRecord, credential: JoinCredential) {
        guard !hosts.sharesCredentials(with: edge.url.host) else {
            throw .invalid(
                "url must not be on the registry's host or a subdomain of it: clients would send it their credentials")
        }
        let id = SecureRandom.label(Self.idCharacters)
        let secret = SecureRandom.bytes(JoinCredential.secretBytes)
        guard let credential = JoinCredential(edgeID: id, secret: secret, originURL: originURL().description) else {
            preconditionFailure("a label, a secret of the right size and a base URL make a credential")
        }
        let wrapped: [UInt8]
        do throws(SecretsError) {
            wrapped = try wrapping.wrap(secret, context: EdgeDirectory.wrappingContext(edge: id))
        } catch { throw .secrets(error) }
        do throws(DatabaseError) {
            let record = try await database.createEdge(
                id: id,
                name: edge.name,
                region: edge.region,
                latitude: edge.latitude,
                longitude: edge.longitude,
                url: edge.url.description,
                wrappedJoinSecret: wrapped)
            try await directory.refresh()
            return (record, credential)
        } catch {
            if case .uniqueViolation = error.kind { throw .nameTaken }
            throw .database(error)
        }
    }
}
