// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Where the admin API is, and the token it is asked with; shared by all subcommands that speak to it. The token comes
/// from the environment or a file: what stands on a command line, every user of the machine can read.
struct AdminOptions: ParsableArguments {
    private static let defaultURL = "http://127.0.0.1:8081"

    @Option(help: "URL of the admin listener (DEPOT_ADMIN_URL, else http://127.0.0.1:8081).")
    var adminURL: String?
    @Option(help: "File with an administrator's token, or - for standard input (otherwise DEPOT_TOKEN).")
    var tokenFile: String?

    /// - Throws: `CommandFailure` if the URL or the token is missing or wrong.
    func connection(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> AdminConnection {
        let url = adminURL ?? environment["DEPOT_ADMIN_URL"] ?? Self.defaultURL
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw .usage("\(url) is not the URL of an admin listener: it begins with http:// or https://")
        }
        let token: String
        if let tokenFile {
            token = try TokenFile.read(tokenFile)
        } else if let variable = environment["DEPOT_TOKEN"], !variable.isEmpty {
            token = variable
        } else {
            throw .usage("no token: set DEPOT_TOKEN to an administrator's token, or give --token-file")
        }
        return AdminConnection(url: url.hasSuffix("/") ? String(url.dropLast()) : url, token: token)
    }
}
