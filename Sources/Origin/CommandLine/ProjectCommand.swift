// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin project`: projects of an organization.
struct ProjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "project", "Makes, lists and deletes projects.",
        example: """
            export DEPOT_PROJECT=$(depot-origin project create shop)
            depot-origin project list
            """,
        subcommands: [List.self, Create.self, Show.self, Delete.self])

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the projects of an organization.", example: "depot-origin project list --org acme")

        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(session.target(in: organization, "projects"), [.init("id"), .init("name")])
        }
    }

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a project, unless it is there, and prints its id.",
            note: "The id is what commands call it by, and the name of its repository.",
            example: "depot-origin project create shop")

        @Argument(help: "What people call it.") var name: String
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let target = try await session.target(in: organization, "projects")
            try await session.print(.post, target, ["name": .string(name)], "id")
        }
    }

    struct Show: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows a project.", example: "depot-origin project show x7k2p9q4m1")

        @Argument(help: "Id, as listed.") var id: String
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.print(.get, session.target(in: organization, "projects", id), nil, "id", "name")
        }
    }

    struct Delete: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes a project with its tokens and trust relationships.",
            note: "Refused while it has repositories, unless --repositories is given.",
            example: "depot-origin project delete x7k2p9q4m1 --yes")

        @Argument(help: "Id, as listed.") var id: String
        @Flag(help: "Delete its repositories as well.") var repositories = false
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("delete project \(id)\(repositories ? " and all its repositories" : "")")
            let target = try await session.target(in: organization, "projects", id)
            try await session.delete(
                repositories ? target.asking("repositories", "true") : target, said: "deleted project \(id)")
        }
    }
}
