// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import OCI

/// `depot-origin edge`: the fleet.
struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "edge", "Makes and lists edges.",
        example: """
            depot-origin edge create fra-1 --region eu --url https://fra-1.blobs.example > fra-1.credential
            depot-origin edge list
            """,
        subcommands: [Create.self, List.self])

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an edge and prints the credential that it joins with.",
            note: "The credential is shown this once; hand it to `depot-edge serve --credential-file`.",
            example: """
                depot-origin edge create fra-1 --region eu --location 50.11,8.68 \\
                    --url https://fra-1.blobs.example > fra-1.credential
                """)

        @Argument(help: "Name: a-z, 0-9, '-' and '.'.") var name: String
        @Option(help: "Region that the edge serves.") var region: String
        @Option(help: "Where it stands: LATITUDE,LONGITUDE in degrees.") var location: Location?
        @Option(help: "URL that clients reach it at. Never on the registry's host or a subdomain of it.")
        var url: String
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let document = JSONValue.present([
                ("name", .string(name)), ("region", .string(region)), ("url", .string(url)),
                ("location", location?.document),
            ])
            try await session.printSecret(AdminTarget.root.appending("edges"), document, member: "credential")
        }
    }

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the edges and whether each serves.", example: "depot-origin edge list --json")

        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(
                AdminTarget.root.appending("edges"), in: "edges",
                [.init("name"), .init("region"), .init("state"), .init("url"), .init("id")])
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
