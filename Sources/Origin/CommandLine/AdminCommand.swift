// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser

/// The subcommands of `depot-origin` that speak to the admin API.
package enum AdminCommands {
    package static let all: [any ParsableCommand.Type] = [
        LoginCommand.self, LogoutCommand.self, WhoAmICommand.self, OrganizationCommand.self, UserCommand.self,
        ProjectCommand.self, RepositoryCommand.self, TokenCommand.self, PullTokenCommand.self, TrustCommand.self,
        AuditCommand.self, KeyCommand.self, EdgeCommand.self,
    ]
}

/// One of them.
protocol AdminCommand: AsyncParsableCommand {
    var admin: AdminOptions { get }

    func perform(in session: AdminSession) async throws(CommandFailure)
}

extension AdminCommand {
    mutating func run() async throws { try await perform(in: admin.session()) }
}

extension CommandConfiguration {
    /// Of a command that is called as its type is.
    init(abstract: String, note: String? = nil, example: String) {
        self.init(
            abstract: abstract, discussion: Self.discussion(note, example))
    }

    /// - Parameters:
    ///   - note: What the abstract has no room for.
    ///   - example: One call, or several on lines of their own.
    init(
        _ name: String, _ abstract: String, note: String? = nil, example: String,
        subcommands: [any ParsableCommand.Type] = []
    ) {
        self.init(
            commandName: name, abstract: abstract, discussion: Self.discussion(note, example), subcommands: subcommands)
    }

    private static func discussion(_ note: String?, _ example: String) -> String {
        let lines = example.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
        return (note.map { "\($0)\n\n" } ?? "") + "EXAMPLE\n\(lines)"
    }
}
