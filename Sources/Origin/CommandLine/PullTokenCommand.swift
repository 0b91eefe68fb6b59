// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import OCI

/// `depot-origin pull-token`: a short-lived token that only pulls.
struct PullTokenCommand: AdminCommand {
    static let configuration = CommandConfiguration(
        "pull-token", "Makes a token that only pulls, for a while, and prints nothing but it.",
        note: """
            It reaches a project or one repository; with a tag or digest, only that. It counts for an hour unless \
            --ttl says otherwise.
            """,
        example: """
            depot-origin pull-token --project x7k2p9q4m1 --ttl 2h > pull.token
            depot-origin pull-token --repo app v1.2 | docker login -u x-token --password-stdin registry.example
            """)

    @Argument(help: "Tag or digest that it reaches (all of them).") var reference: String?
    @Option(help: "Id of the project that it reaches (DEPOT_PROJECT, the stored one).") var project: String?
    @Option(help: "Repository that it reaches, in place of a project.") var repo: String?
    @Option(help: "What it is called in lists (pull).") var name: String?
    @Option(help: "How long it counts, like 30m, 2h or 24h (1h).") var ttl: TokenLifetime?
    @OptionGroup var organization: OrganizationOption
    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard project == nil || repo == nil else { throw ValidationError("give --project or --repo, not both") }
    }

    func perform(in session: AdminSession) async throws(CommandFailure) {
        // Before the organization, which is asked for over the network.
        let project: String? = repo == nil ? try session.settings.requiredProject(flag: project) : nil
        var target = try await session.target(in: organization)
        if let project { target = try target.appending("projects", project) }
        let document = JSONValue.present([
            ("name", name.map { .string($0) }), ("repository", repo.map { .string($0) }),
            ("reference", reference.map { .string($0) }), ("ttl_seconds", ttl?.document),
        ])
        try await session.printSecret(target.appending("pull-tokens"), document)
    }
}
