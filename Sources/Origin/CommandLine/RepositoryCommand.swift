// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin repo`: repositories of an organization, as things to administer.
struct RepositoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "repo", "Makes, lists, links and deletes repositories.",
        example: """
            depot-origin repo list
            depot-origin repo link app/web --project x7k2p9q4m1
            """,
        subcommands: [List.self, Create.self, Show.self, Link.self, Unlink.self, Delete.self])

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the repositories of an organization.",
            example: "depot-origin repo list --project x7k2p9q4m1")

        @Option(help: "Only those linked to the project of this id.") var project: String?
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let all = try await session.target(in: organization, "repositories")
            let target = project.map { all.asking("in_project", $0) } ?? all
            try await session.list(target, [.init("name"), .init("project")])
        }
    }

    struct Create: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an empty repository, unless it is there, and prints its name; a first push does the same.",
            example: "depot-origin repo create app/web --project x7k2p9q4m1")

        @OptionGroup var repository: RepositoryArgument
        @Option(help: "Id of the project that it is linked to (none).") var project: String?
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let target = try await session.target(in: organization, "repositories")
            let document = JSONValue.present([
                ("name", .string(repository.name)), ("project", project.map { .string($0) }),
            ])
            try await session.print(.post, target, document, "name")
        }
    }

    struct Show: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows a repository.", example: "depot-origin repo show app/web")

        @OptionGroup var repository: RepositoryArgument
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.print(.get, repository.target(session, organization), nil, "name", "project")
        }
    }

    struct Link: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Links a repository to a project, whose tokens then reach it.",
            example: "depot-origin repo link app/web --project x7k2p9q4m1")

        @OptionGroup var repository: RepositoryArgument
        @OptionGroup var project: ProjectOption
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let project = try session.settings.requiredProject(flag: project.project)
            try await session.print(
                .patch, repository.target(session, organization), ["project": .string(project)], "name", "project")
        }
    }

    struct Unlink: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Takes the link of a repository to its project away.",
            example: "depot-origin repo unlink app/web")

        @OptionGroup var repository: RepositoryArgument
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.print(
                .patch, repository.target(session, organization), ["project": .null], "name", "project")
        }
    }

    struct Delete: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deletes a repository with its manifests, tags, uploads, and the tokens that reach nothing else.",
            example: "depot-origin repo delete app/web --yes")

        @OptionGroup var repository: RepositoryArgument
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("delete repository \(repository.name)")
            try await session.delete(
                repository.target(session, organization), said: "deleted repository \(repository.name)")
        }
    }
}

/// The repository that a command is about.
struct RepositoryArgument: ParsableArguments {
    @Argument(help: "Name without the organization, such as app/web.") var name: String

    func target(
        _ session: AdminSession, _ organization: OrganizationOption
    ) async throws(CommandFailure) -> AdminTarget {
        try await session.target(in: organization, "repositories").appending(name: name)
    }
}

/// The project that a command is about.
struct ProjectOption: ParsableArguments {
    @Option(help: "Id of the project (DEPOT_PROJECT, the stored one).") var project: String?
}
