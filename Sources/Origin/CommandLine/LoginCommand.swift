// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import HTTPFetch
import OCI

/// `depot-origin login`: checks a token and keeps it for the commands that follow.
struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        "login", "Checks a token and stores it, with the URL, for other commands.",
        note: """
            The token is read from --token-file, or typed at the terminal. It goes into \
            $XDG_CONFIG_HOME/depot-registry/config.json (~/.config), which only its owner can read. --org and \
            --project are stored as well, as what commands take when nothing else is said. With \
            --bootstrap-token-file, the token of the first organization is printed as well; the same call tells \
            the same again for ten minutes.
            """,
        example: """
            depot-origin login --admin-url https://admin.registry.example
            depot-origin login --token-file - < token
            depot-origin login --bootstrap-token-file /var/lib/depot/bootstrap-token
            """)

    @Option(help: "One-time token of a first start, or - for standard input: traded for the administrator's token.")
    var bootstrapTokenFile: String?

    @Option(help: "Organization to store.") var org: String?
    @Option(help: "Id of the project to store.") var project: String?
    @OptionGroup var admin: AdminOptions

    func run() async throws {
        let settings = CommandSettings.ofProcess
        let path = try settings.storePath()
        let url = try settings.adminURL(flag: admin.adminURL)
        // What cannot be read is not overwritten, and better said before a token is typed.
        let former = try settings.stored()
        let first = try await first(at: url, checking: former, path)
        let token: String = if let first { first.administratorToken } else { try self.token(for: url) }
        let session = AdminSession(
            settings: settings, connection: try AdminConnection(url: url, token: token), isJSON: admin.json)
        let identity = try await session.identity()

        var stored = former.adminURL == url ? former : StoredSettings()
        stored.adminURL = url
        stored.token = token
        stored.organization = org ?? stored.organization
        stored.project = project ?? stored.project
        try stored.write(path)
        try session.print(identity: identity.adding(first?.shown ?? [:]))
    }

    private func token(for url: String) throws(CommandFailure) -> String {
        if let file = admin.tokenFile { return try TokenFile.read(file) }
        guard StandardStreams.isInputTerminal else {
            throw .usage("no token: give --token-file FILE, or --token-file - for standard input")
        }
        let typed = try StandardStreams.askSecretly("Token for \(url): ")
        guard let token = TokenFile.token(in: typed.utf8) else { throw .usage("no token was typed") }
        return token
    }
}

extension LoginCommand {
    private struct FirstCredentials {
        let organization: String
        let token: String
        let administratorToken: String

        /// What is told beside the identity.
        var shown: JSONValue { ["organization": .string(organization), "organization_token": .string(token)] }
    }

    /// Trades the one-time token, if one is given. What fails after that may be tried again for ten minutes: the same token
    /// then yields the same credentials.
    private func first(
        at url: String, checking former: StoredSettings, _ path: String
    ) async throws(CommandFailure) -> FirstCredentials? {
        guard let file = bootstrapTokenFile else { return nil }
        let bootstrapToken = try TokenFile.read(file)
        // A place that cannot be written is better known before.
        try former.write(path)
        let answer = try await AdminConnection(url: url, token: bootstrapToken).send(
            .post, AdminTarget.root.appending("bootstrap"), ["bootstrap_token": .string(bootstrapToken)])
        guard let administratorToken = answer["admin_token"]?.stringValue, let token = answer["token"]?.stringValue,
            let organization = answer["organization"]?.stringValue
        else { throw .failed("\(url) does not answer with the first credentials") }
        return FirstCredentials(organization: organization, token: token, administratorToken: administratorToken)
    }
}

/// `depot-origin logout`: forgets the stored token.
struct LogoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        "logout", "Removes the stored token, which still counts until it is revoked.",
        example: "depot-origin logout")

    func run() throws {
        let settings = CommandSettings.ofProcess
        var stored = try settings.stored()
        guard stored.token != nil else { return StandardStreams.tell("there is no stored token") }
        stored.token = nil
        try stored.write(settings.storePath())
        StandardStreams.tell("logged out of \(stored.adminURL ?? "nowhere")")
    }
}

/// `depot-origin whoami`.
struct WhoAmICommand: AdminCommand {
    static let configuration = CommandConfiguration(
        "whoami", "Says what the token stands for.", example: "depot-origin whoami --json")

    @OptionGroup var admin: AdminOptions

    func perform(in session: AdminSession) async throws(CommandFailure) {
        try session.print(identity: try await session.identity())
    }
}

extension AdminSession {
    func identity() async throws(CommandFailure) -> JSONValue {
        try await connection.send(.get, try AdminTarget.root.appending("identity"))
    }

    func print(identity: JSONValue) throws(CommandFailure) {
        guard isJSON else {
            let shown: JSONValue = ["url": .string(connection.url)]
            return try print(
                shown.adding(identity),
                [
                    "url", "user", "kind", "token_name", "is_administrator", "project", "repository", "reference",
                    "organization", "organization_token",
                ])
        }
        try print(identity, [])
    }
}
