// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin trust`: which jobs of which CI system become a token of a project.
struct TrustCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "trust", "Trusts jobs of CI systems with a project.",
        example: """
            depot-origin trust add --project x7k2p9q4m1 --name main --provider github \\
                --audience https://registry.example --claim repository_owner_id=9919 --claim repository_id=1296269
            depot-origin trust list --project x7k2p9q4m1
            """,
        subcommands: [List.self, Add.self, Remove.self])

    struct List: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists the trust relationships of a project.",
            example: "depot-origin trust list --project x7k2p9q4m1")

        @OptionGroup var project: ProjectOption
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try await session.list(
                project.trust(session, organization),
                [
                    .init("id"), .init("name"), .init("provider"), .init("issuer"), .init("audience"),
                    .init("conditions"), .init("allow_forks", title: "FORKS"),
                ])
        }
    }

    struct Add: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trusts jobs that prove all of the claims, and prints the id of the relationship.",
            note: """
                Claims name the organization and the project of the CI system by ids, which cannot be taken over like \
                names: for github repository_owner_id and repository_id, for gitlab namespace_id and project_id, for \
                buildkite organization_id and pipeline_id, for circleci oidc.circleci.com/project-id. A * at the \
                end of a value stands for any that begin so. gh api repos/OWNER/REPO --jq '.owner.id, .id' prints \
                those of github; glab api projects/GROUP%2FPROJECT has those of gitlab.
                """,
            example: """
                depot-origin trust add --project x7k2p9q4m1 --name main --provider github \\
                    --audience https://registry.example --claim repository_owner_id=9919 \\
                    --claim repository_id=1296269 --claim ref=refs/heads/main
                """)

        @Option(help: "What it is called.") var name: String
        @Option(help: "github, gitlab, circleci, buildkite or generic.") var provider: String
        @Option(help: "The aud claim, or one of it.") var audience: String
        @Option(help: "The iss claim (that of the provider's own service).") var issuer: String?
        @Option(
            name: .customLong("claim"), help: "Claim and the values that it may have; once for each claim.")
        var claims: [ClaimArgument]
        @Flag(help: "Also jobs that run the code of a fork's pull request.") var allowForks = false
        @OptionGroup var project: ProjectOption
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            let document = JSONValue.present([
                ("name", .string(name)), ("provider", .string(provider)), ("audience", .string(audience)),
                ("issuer", issuer.map { .string($0) }), ("conditions", ClaimArgument.conditions(claims)),
                ("allow_forks", .bool(allowForks)),
            ])
            try await session.print(.post, project.trust(session, organization), document, "id")
        }
    }

    struct Remove: AdminCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends the trust, and withdraws the tokens that were given out for it.",
            example: "depot-origin trust remove 3 --project x7k2p9q4m1 --yes")

        @Argument(help: "Id, as listed.") var id: String
        @OptionGroup var project: ProjectOption
        @OptionGroup var organization: OrganizationOption
        @OptionGroup var confirmation: Confirmation
        @OptionGroup var admin: AdminOptions

        func perform(in session: AdminSession) async throws(CommandFailure) {
            try confirmation.confirm("remove trust relationship \(id)")
            let target = try await project.trust(session, organization).appending(id)
            try await session.delete(target, said: "removed trust relationship \(id)")
        }
    }
}

extension ProjectOption {
    fileprivate func trust(
        _ session: AdminSession, _ organization: OrganizationOption
    ) async throws(CommandFailure) -> AdminTarget {
        // The project first: the organization may have to be asked for over the network.
        let project = try session.settings.requiredProject(flag: project)
        return try await session.target(in: organization, "projects", project, "trust")
    }
}
