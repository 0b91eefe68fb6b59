// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin user`: users of the deployment and their tokens.
struct UserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "user", "Makes, lists and deletes users and their tokens.",
        example: """
            depot-origin user create alice
            depot-origin user token create laptop --user alice > alice.token
            """,
        subcommands: [List.self, Create.self, Delete.self, Token.self])

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists all users.", example: "depot-origin user list")

        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(
                AdminTarget.root.appending("users"), [.init("name"), .init("is_administrator", title: "ADMINISTRATOR")])
        }
    }

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a user, unless it is there, and prints its name.",
            example: "depot-origin user create alice")

        @Argument(help: "Letters, digits and ._@+-.") var name: String
        @Flag(help: "May administer the deployment.") var administrator = false
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.print(
                .post, AdminTarget.root.appending("users"),
                ["name": .string(name), "is_administrator": .bool(administrator)], "name")
        }
    }

    struct Delete: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes a user with its tokens and memberships.",
            example: "depot-origin user delete alice --yes")

        @Argument(help: "Name, as listed.") var name: String
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("delete user \(name)")
            try await session.delete(AdminTarget.root.appending("users", name), said: "deleted user \(name)")
        }
    }

    /// `depot-origin user token`.
    struct Token: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            "token", "Makes, lists and revokes tokens of a user.", example: "depot-origin user token list",
            subcommands: [List.self, Create.self, Revoke.self])

        struct List: AdminCommand {
            static let configuration = CommandConfiguration(
                abstract: "Lists the tokens of a user.", example: "depot-origin user token list --user alice")

            @OptionGroup var user: UserOption
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                try await session.list(user.tokens(session), TokenCommand.columns)
            }
        }

        struct Create: AdminCommand {
            static let configuration = CommandConfiguration(
                abstract: "Makes a token of a user, and prints nothing but it.",
                example: "depot-origin user token create laptop --ttl 90d > laptop.token")

            @OptionGroup var token: NewTokenOptions
            @OptionGroup var user: UserOption
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                try await session.printSecret(user.tokens(session), token.document)
            }
        }

        struct Revoke: AdminCommand {
            static let configuration = CommandConfiguration(
                abstract: "Withdraws a token of a user.", example: "depot-origin user token revoke 12 --yes")

            @Argument(help: "Id, as listed.") var id: String
            @OptionGroup var user: UserOption
            @OptionGroup var confirmation: Confirmation
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                try confirmation.confirm("revoke token \(id)")
                try await session.delete(user.tokens(session).appending(id), said: "revoked token \(id)")
            }
        }
    }
}

/// The user that a command is about.
struct UserOption: ParsableArguments {
    @Option(help: "Name of the user (whose token this command is called with).") var user: String?

    func tokens(_ session: AdminSession) async throws(CommandFailure) -> AdminTarget {
        let name: String
        if let user {
            name = user
        } else {
            guard let own = try await session.identity()["user"]?.stringValue else {
                throw .usage("the token is not one of a user: give --user")
            }
            name = own
        }
        return try AdminTarget.root.appending("users", name, "tokens")
    }
}
