// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Where the admin API is, and the token it is asked with; shared by all subcommands that speak to it. The token comes
/// from the environment or a file: what stands on a command line, every user of the machine can read.
struct AdminOptions: ParsableArguments {
    @Option(help: "URL of the admin listener (DEPOT_ADMIN_URL, the stored one, \(CommandSettings.defaultURL)).")
    var adminURL: String?
    @Option(help: "File with a token, or - for standard input (DEPOT_TOKEN, the stored one).")
    var tokenFile: String?
    @Flag(help: "Print what the API answers, as JSON; a list as one array.") var json = false

    /// - Throws: `CommandFailure` if the URL or the token is missing or wrong.
    func session() throws(CommandFailure) -> AdminSession {
        let settings = CommandSettings.ofProcess
        let url = try settings.adminURL(flag: adminURL)
        let token = if let tokenFile { try TokenFile.read(tokenFile) } else { try settings.token(for: url) }
        return AdminSession(
            settings: settings, connection: try AdminConnection(url: url, token: token), isJSON: json)
    }
}

/// The organization that a command is about.
struct OrganizationOption: ParsableArguments {
    @Option(help: "Organization (DEPOT_ORGANIZATION, the stored one, the only one that the token reaches).")
    var org: String?
}

/// For commands that take something away for good.
struct Confirmation: ParsableArguments {
    @Flag(help: "Do not ask; needed where standard input is not a terminal.") var yes = false

    /// - Parameter deed: Such as `delete project x`.
    /// - Throws: `CommandFailure` if whoever calls does not want it, or cannot be asked.
    func confirm(_ deed: String) throws(CommandFailure) {
        if yes { return }
        guard StandardStreams.isInputTerminal else {
            throw .usage("to \(deed), give --yes: there is no terminal to ask at")
        }
        let answer = StandardStreams.ask("\(deed)? [y/N] ") ?? ""
        guard ["y", "yes"].contains(answer.lowercased()) else { throw .failed("nothing was done") }
    }
}
