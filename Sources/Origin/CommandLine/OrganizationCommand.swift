// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin org`: organizations and who is in them.
struct OrganizationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "org", "Makes, lists and changes organizations.",
        example: """
            depot-origin org create acme
            depot-origin org member set alice --role owner --org acme
            """,
        subcommands: [List.self, Create.self, Show.self, Update.self, Delete.self, Member.self])

    fileprivate static func target(_ name: String) throws(CommandFailure) -> AdminTarget {
        try AdminTarget.root.appending("organizations", name)
    }

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the organizations that the token reaches.", example: "depot-origin org list")

        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(
                AdminTarget.root.appending("organizations"), [.init("name"), .init("missing_references")])
        }
    }

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an organization, unless it is there, and prints its name.",
            example: "depot-origin org create acme")

        @Argument(help: "A DNS label: a-z, 0-9 and '-'.") var name: String
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let target = try AdminTarget.root.appending("organizations")
            try await session.print(.post, target, ["name": .string(name)], "name")
        }
    }

    struct Show: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows an organization.", example: "depot-origin org show acme")

        @Argument(help: "Name, as listed.") var name: String
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.print(.get, OrganizationCommand.target(name), nil, "name", "missing_references")
        }
    }

    struct Update: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes the settings of an organization.",
            example: "depot-origin org update acme --missing-references children")

        @Argument(help: "Name, as listed.") var name: String
        @Option(help: "What pushes may refer to before it is there: none, children, all, or the default.")
        var missingReferences: String
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let setting: JSONValue = missingReferences == "default" ? .null : .string(missingReferences)
            try await session.print(
                .patch, OrganizationCommand.target(name), ["missing_references": setting], "name", "missing_references")
        }
    }

    struct Delete: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes an organization with its projects, tokens and trust relationships.",
            note: "Refused while it has repositories, unless --repositories is given.",
            example: "depot-origin org delete acme --repositories --yes")

        @Argument(help: "Name, as listed.") var name: String
        @Flag(help: "Delete its repositories as well.") var repositories = false
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("delete organization \(name)\(repositories ? " and all its repositories" : "")")
            let target = try OrganizationCommand.target(name)
            try await session.delete(
                repositories ? target.asking("repositories", "true") : target, said: "deleted organization \(name)")
        }
    }

    /// `depot-origin org member`.
    struct Member: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            "member", "Says who is in an organization.", example: "depot-origin org member list --org acme",
            subcommands: [List.self, Put.self, Remove.self])

        struct List: AdminCommand {
            static let configuration = CommandConfiguration(
                abstract: "Lists the users of an organization.", example: "depot-origin org member list --org acme")

            @OptionGroup var organization: OrganizationOption
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                try await session.list(session.target(in: organization, "members"), [.init("user"), .init("role")])
            }
        }

        struct Put: AdminCommand {
            static let configuration = CommandConfiguration(
                "set", "Puts a user into an organization, or changes the user's role there.",
                example: "depot-origin org member set alice --role owner --org acme")

            @Argument(help: "Name of the user.") var user: String
            @Option(help: "member: repositories and projects; owner: also tokens, members and trust.")
            var role = "member"
            @OptionGroup var organization: OrganizationOption
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                let target = try await session.target(in: organization, "members", user)
                try await session.print(.put, target, ["role": .string(role)], "user", "role")
            }
        }

        struct Remove: AdminCommand {
            static let configuration = CommandConfiguration(
                abstract: "Takes a user out of an organization.",
                example: "depot-origin org member remove alice --org acme --yes")

            @Argument(help: "Name of the user.") var user: String
            @OptionGroup var organization: OrganizationOption
            @OptionGroup var confirmation: Confirmation
            @OptionGroup var admin: AdminOptions

            func perform(in session: AdminSession) async throws(CommandFailure) {
                try confirmation.confirm("remove member \(user)")
                try await session.delete(
                    session.target(in: organization, "members", user), said: "removed member \(user)")
            }
        }
    }
}
