// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import OCI

/// `depot-origin token`: tokens of an organization and all that is in it.
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "token", "Makes, lists and revokes tokens of organizations and projects.",
        example: """
            depot-origin token create ci --project x7k2p9q4m1 > ci.token
            depot-origin token list
            """,
        subcommands: [List.self, Create.self, Revoke.self])

    static let columns: [ListPrinter.Column] = [
        .init("id"), .init("kind"), .init("name"), .init("user", "project", "repository", title: "OF"),
        .init("reference"), .init("created_at", title: "CREATED"), .init("expires_at", title: "EXPIRES"),
        .init("last_used_at", title: "LAST USED"), .init("revoked_at", title: "REVOKED"),
    ]

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the tokens of an organization and all that is in it.", example: "depot-origin token list")

        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(session.target(in: organization, "tokens"), columns)
        }
    }

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a token of the organization or of a project, and prints nothing but it.",
            note: "It pushes and pulls: with --project in that project, otherwise in the whole organization.",
            example: "depot-origin token create ci --project x7k2p9q4m1 > ci.token")

        @OptionGroup var token: NewTokenOptions
        // What a token may do follows from the call alone, not from what happens to be set elsewhere.
        @Option(help: "Id of the project that it reaches. Not taken from the environment or the stored settings.")
        var project: String?
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            var target = try await session.target(in: organization)
            if let project { target = try target.appending("projects", project) }
            try await session.printSecret(target.appending("tokens"), token.document)
        }
    }

    struct Revoke: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Withdraws a token of the organization or of anything in it.",
            example: "depot-origin token revoke 12 --yes")

        @Argument(help: "Id, as listed.") var id: String
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("revoke token \(id)")
            try await session.delete(session.target(in: organization, "tokens", id), said: "revoked token \(id)")
        }
    }
}

/// What a token is made from.
struct NewTokenOptions: ParsableArguments {
    @Argument(help: "What it is for, for lists: nothing else has this name.") var name: String
    @Option(help: "How long it counts, like 30m, 2h or 90d (until it is revoked).") var ttl: TokenLifetime?

    var document: JSONValue { .present([("name", .string(name)), ("ttl_seconds", ttl?.document)]) }
}

extension TokenLifetime {
    /// As the API takes it.
    var document: JSONValue { .integer(duration.components.seconds) }
}
