// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin edge`: the fleet.
package struct EdgeCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "edge",
        abstract: "Makes and lists edges.",
        discussion: """
            EXAMPLE
              export DEPOT_ADMIN_URL=http://127.0.0.1:8081 DEPOT_TOKEN=dpu_…
              depot-origin edge create fra-1 --region eu --url https://fra-1.blobs.example > fra-1.credential
              depot-origin edge list
            """,
        subcommands: [Create.self, List.self])

    package init() {}

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an edge and prints the credential that it joins with.",
            discussion: """
                The credential is shown this once; hand it to `depot-edge serve --credential-file`.

                EXAMPLE
                  depot-origin edge create fra-1 --region eu --location 50.11,8.68 \\
                      --url https://fra-1.blobs.example > fra-1.credential
                """)

        @Argument(help: "Name: a-z, 0-9, '-' and '.'.") var name: String
        @Option(help: "Region that the edge serves.") var region: String
        @Option(help: "Where it stands: LATITUDE,LONGITUDE in degrees.") var location: Location?
        @Option(help: "URL that clients reach it at. Never on the registry's host or a subdomain of it.") var url:
            String
        @Flag(help: "Print the whole answer as JSON.") var json = false
        @OptionGroup var admin: AdminOptions

        func run() async throws {
            var members = [
                JSONMember(name: "name", value: .string(name)),
                JSONMember(name: "region", value: .string(region)),
                JSONMember(name: "url", value: .string(url)),
            ]
            if let location { members.append(JSONMember(name: "location", value: location.document)) }
            let answer = try await admin.connection().send(.post, "/api/v1/edges", .object(members))
            guard let credential = answer["credential"]?.stringValue else {
                throw CommandFailure.failed("the answer holds no credential")
            }
            print(json ? String(decoding: answer.encode(), as: UTF8.self) : credential)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the edges and whether each serves.",
            discussion: """
                EXAMPLE
                  depot-origin edge list --json
                """)

        @Flag(help: "Print JSON instead of a table.") var json = false
        @OptionGroup var admin: AdminOptions

        func run() async throws {
            let answer = try await admin.connection().send(.get, "/api/v1/edges")
            guard !json else { return print(String(decoding: answer.encode(), as: UTF8.self)) }
            guard case .array(let edges)? = answer["edges"] else {
                throw CommandFailure.failed("the answer holds no edges")
            }
            let columns = ["name", "region", "state", "url", "id"]
            let rows = edges.map { edge in columns.map { edge[$0]?.stringValue ?? "" } }
            print(Table.text(columns.map { $0.uppercased() }, rows))
        }
    }
}

/// `LATITUDE,LONGITUDE`; whether they are on the globe, the origin says.
struct Location: ExpressibleByArgument {
    let latitude: Double
    let longitude: Double

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2, let latitude = Double(parts[0]), let longitude = Double(parts[1]),
            latitude.isFinite, longitude.isFinite
        else { return nil }
        self.latitude = latitude
        self.longitude = longitude
    }

    var document: JSONValue {
        .object([
            JSONMember(name: "latitude", value: .number(String(latitude))),
            JSONMember(name: "longitude", value: .number(String(longitude))),
        ])
    }
}
