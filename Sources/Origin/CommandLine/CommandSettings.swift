// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Where commands get their settings from: a flag, the environment, what `login` has stored, the default; first wins.
/// An empty variable counts as none. The file is not even opened for what was found before it.
package struct CommandSettings: Sendable {
    package static let defaultURL = "http://127.0.0.1:8081"

    static var ofProcess: CommandSettings { CommandSettings(environment: ProcessInfo.processInfo.environment) }

    private let environment: [String: String]

    package init(environment: [String: String]) { self.environment = environment }

    /// - Returns: The URL of the admin listener, without a slash at its end.
    /// - Throws: `CommandFailure` if it is none, or the file cannot be used; so do all others here.
    package func adminURL(flag: String?) throws(CommandFailure) -> String {
        let url = try first(flag, "DEPOT_ADMIN_URL", \.adminURL) ?? Self.defaultURL
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw .usage("\(url) is not the URL of an admin listener: it begins with http:// or https://")
        }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    /// The token that is not in a file of its own. A stored one is sent only where it was stored for: otherwise
    /// whoever sets the URL would get it.
    package func token(for url: String) throws(CommandFailure) -> String {
        if let token = variable("DEPOT_TOKEN") { return token }
        let stored = try stored()
        guard let token = stored.token else {
            throw .usage("no token: run `depot-origin login`, set DEPOT_TOKEN, or give --token-file")
        }
        guard stored.adminURL == url else {
            throw .usage(
                "no token for \(url), only one for \(stored.adminURL ?? "nowhere"): run `depot-origin login`, set "
                    + "DEPOT_TOKEN, or give --token-file")
        }
        return token
    }

    package func organization(flag: String?) throws(CommandFailure) -> String? {
        try first(flag, "DEPOT_ORGANIZATION", \.organization)
    }

    package func project(flag: String?) throws(CommandFailure) -> String? {
        try first(flag, "DEPOT_PROJECT", \.project)
    }

    /// - Throws: A usage error that names the ways to set it.
    package func requiredProject(flag: String?) throws(CommandFailure) -> String {
        guard let project = try project(flag: flag) else {
            let path = try storePath()
            throw .usage(
                "no project: give --project, set DEPOT_PROJECT, or store one in \(path) with "
                    + "`depot-origin login --project`")
        }
        return project
    }

    /// - Throws: A usage error if nobody has a home directory.
    package func storePath() throws(CommandFailure) -> String {
        guard let path = StoredSettings.path(environment: environment) else {
            throw .usage("there is no place for a file of settings: set HOME or XDG_CONFIG_HOME")
        }
        return path
    }

    package func stored() throws(CommandFailure) -> StoredSettings {
        guard let path = StoredSettings.path(environment: environment) else { return StoredSettings() }
        return try StoredSettings.read(path)
    }

    private func first(
        _ flag: String?, _ name: String, _ member: KeyPath<StoredSettings, String?>
    ) throws(CommandFailure) -> String? {
        if let value = flag ?? variable(name) { return value }
        return try stored()[keyPath: member]
    }

    private func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
