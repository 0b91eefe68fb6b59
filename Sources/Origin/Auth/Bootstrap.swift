// SPDX-License-Identifier: Apache-2.0

package import Disk
import Hashing
package import Logging
import OCI
package import OriginMetadata

/// The first start of a deployment: an organization, an administrator and a token for each, told exactly once.
///
/// The credentials go to a file (0600) or to a terminal, never to a log. With neither, a one-time token is left in a file
/// of the data directory, and whoever redeems it is told them, for some minutes again, so that an answer that is lost
/// costs nothing. A file is staged beside its place before the database commits, so that a crash in between loses
/// nothing; the next start finds it and finishes.
package struct Bootstrap: Sendable {
    package enum Failure: Error, Sendable, CustomStringConvertible {
        case database(DatabaseError)
        case disk(DiskError)

        package var description: String {
            switch self {
            case .database(let error): "\(error)"
            case .disk(let error): "bootstrap file: \(error)"
            }
        }
    }

    private let database: Database
    private let path: String?
    private let tokenPath: String
    private let tellTerminal: (@Sendable (String) -> Void)?
    private let grace: Duration
    private let logger: Logger

    /// - Parameters:
    ///   - path: The bootstrap file, if one is configured.
    ///   - tokenPath: Where a one-time token is left otherwise.
    ///   - grace: How long a redeemed one-time token yields the same credentials again.
    ///   - tellTerminal: Prints on the terminal; `nil` if standard output is none.
    package init(
        database: Database, path: String?, tokenPath: String, grace: Duration = .seconds(600),
        tellTerminal: (@Sendable (String) -> Void)?, logger: Logger
    ) {
        self.database = database
        self.path = path
        self.tokenPath = tokenPath
        self.grace = grace
        self.tellTerminal = tellTerminal
        self.logger = logger
    }

    /// Does what is left to do; after the first start nothing. Blocks for one small file; called before serving.
    package func run() async throws(Failure) {
        if try await isDone() {
            if let path { try await finishInterrupted(path) }
            // It was redeemed, here or at another origin.
            if try await !mayBeRedeemedAgain() { try remove(tokenPath) }
            return
        }
        guard path != nil || tellTerminal != nil else { return try await leaveToken() }
        let credentials = BootstrapCredentials.generate()
        if let path { try write(credentials, to: Self.staged(path)) }
        // Origins that start together: one commits, and only that one tells.
        let isOurs = try await commit(credentials, detail: path == nil ? "told on a terminal" : "written to a file")
        if let path {
            if isOurs { try write(credentials, to: path) }
            try remove(Self.staged(path))
        } else if isOurs {
            tellTerminal?(credentials.message)
        }
    }

    /// The token of an earlier start stays as it is.
    private func leaveToken() async throws(Failure) {
        let token: BootstrapToken
        do throws(DiskError) {
            let left = try AtomicFile.read(tokenPath, bytesMax: BootstrapToken.fileBytesMax)
            token = left.flatMap(BootstrapToken.init(file:)) ?? .generate()
            try AtomicFile.write(token.file, to: tokenPath, permissions: 0o600)
        } catch { throw .disk(error) }
        do throws(DatabaseError) {
            try await database.openBootstrap(tokenSHA256: token.sha256)
        } catch { throw .database(error) }
        logger.notice(
            "first start: nobody can log in before the one-time token is redeemed with depot-origin login",
            metadata: ["file": "\(tokenPath)"])
    }

    private func mayBeRedeemedAgain() async throws(Failure) -> Bool {
        do throws(DatabaseError) { return try await database.isBootstrapRedeemed(within: grace) } catch {
            throw .database(error)
        }
    }

    private func isDone() async throws(Failure) -> Bool {
        do throws(DatabaseError) { return try await database.isBootstrapped() } catch { throw .database(error) }
    }

    private func commit(_ credentials: BootstrapCredentials, detail: String) async throws(Failure) -> Bool {
        let event = Self.event(by: "depot-origin", detail: detail)
        do throws(DatabaseError) { return try await database.bootstrap(credentials.seed, event) } catch {
            throw .database(error)
        }
    }

    private static func event(by actor: String, detail: String, of caller: Caller? = nil) -> AuditEvent {
        AuditEvent(
            organization: nil, actor: actor, action: "deployment.bootstrap",
            target: BootstrapCredentials.subject, outcome: .done, detail: detail,
            address: caller?.address ?? "", requestID: caller?.requestID ?? "")
    }

    /// Makes the first organization, administrator and tokens for who has an open one-time token, once.
    ///
    /// - Throws: `.invalid` for every text but an open one-time token, also when it was redeemed longer than `grace` ago.
    package func redeem(
        _ text: String, of caller: Caller, judgedBy auth: AuthService
    ) async throws(CredentialFault) -> BootstrapCredentials {
        try await auth.judged(caller) { () async throws(CredentialFault) in
            guard let token = BootstrapToken(text) else { throw .invalid }
            let event = Self.event(by: "one-time token", detail: "redeemed", of: caller)
            let salt: [UInt8]?
            do throws(DatabaseError) {
                salt = try await database.redeemBootstrap(
                    tokenSHA256: token.sha256, salt: SecureRandom.bytes(32), grace: grace, event
                ) { salt in BootstrapCredentials(following: token, salt: salt).seed }
            } catch { throw .storeUnavailable }
            guard let salt else { throw .invalid }
            auth.invalidate()
            return BootstrapCredentials(following: token, salt: salt)
        }
    }

    /// The crash was after the commit if the database knows the staged token, and before it otherwise.
    private func finishInterrupted(_ path: String) async throws(Failure) {
        let staged = Self.staged(path)
        guard let credentials = try read(staged) else { return }
        let isCommitted: Bool
        do throws(DatabaseError) {
            isCommitted = try await database.token(secretSHA256: credentials.token.sha256) != nil
        } catch { throw .database(error) }
        if isCommitted { try write(credentials, to: path) }
        try remove(staged)
    }

    private static func staged(_ path: String) -> String { path + ".staged" }

    private func write(_ credentials: BootstrapCredentials, to path: String) throws(Failure) {
        do throws(DiskError) {
            try AtomicFile.write(credentials.json, to: path, permissions: 0o600)
        } catch { throw .disk(error) }
    }

    private func read(_ path: String) throws(Failure) -> BootstrapCredentials? {
        do throws(DiskError) {
            return try AtomicFile.read(path, bytesMax: BootstrapCredentials.jsonBytesMax).flatMap(
                BootstrapCredentials.init)
        } catch { throw .disk(error) }
    }

    private func remove(_ path: String) throws(Failure) {
        do throws(DiskError) { _ = try Directory.remove(path) } catch { throw .disk(error) }
    }
}
