// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `depot-origin audit`: who did what.
struct AuditCommand: AdminCommand {
    static let configuration = CommandConfiguration(
        "audit", "Lists what was changed and denied, oldest first.",
        note: "Of the organization that is set, otherwise of the whole deployment, which only administrators may see.",
        example: """
            depot-origin audit --org acme
            depot-origin audit --export > audit.ndjson
            """)

    @Option(help: "Organization (DEPOT_ORGANIZATION, the stored one, the whole deployment).") var org: String?
    @Flag(help: "Print NDJSON, one event a line.") var export = false
    @OptionGroup var admin: AdminOptions

    func perform(in session: AdminSession) async throws(CommandFailure) {
        var target = AdminTarget.root
        if let name = try session.settings.organization(flag: org) {
            target = try target.appending("organizations", name)
        }
        try await session.list(
            target.appending("audit"), isExport: export,
            [
                .init("at"), .init("organization"), .init("actor"), .init("address"), .init("count"),
                .init("outcome"), .init("action"), .init("target"), .init("detail"),
            ])
    }
}
