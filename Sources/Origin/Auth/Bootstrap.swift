// SPDX-License-Identifier: Apache-2.0

package import Disk
import Hashing
package import Logging
import OCI
package import OriginMetadata

/// The first start of a deployment: an organization, an administrator and a token for each, told exactly once.
///
/// The credentials go to a file (0600) or to a terminal, never to a log. With neither, a one-time token is left in a file
/// of the data directory, and whoever redeems it is told them. A file is staged beside its place before the database commits, so that
/// a crash in between loses nothing; the next start finds it and finishes.
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
    private let logger: Logger

    /// - Parameters:
    ///   - path: The bootstrap file, if one is configured.
    ///   - tokenPath: Where a one-time token is left otherwise.
    ///   - tellTerminal: Prints on the terminal; `nil` if standard output is none.
    package init(
        database: Database, path: String?, tokenPath: String, tellTerminal: (@Sendable (String) -> Void)?,
        logger: Logger
    ) {
        self.database = database
        self.path = path
        self.tokenPath = tokenPath
        self.tellTerminal = tellTerminal
        self.logger = logger
    }

    /// Does what is left to do; after the first start nothing. Blocks for one small file; called before serving.
    package func run() async throws(Failure) {
        if try await isDone() {
            if let path { try await finishInterrupted(path) }
            // It was redeemed, here or at another origin.
            try remove(tokenPath)
            return
        }
        guard path != nil || tellTerminal != nil else { return try await leaveToken() }
        let credentials = BootstrapCredentials.generate()
        if let path { try write(credentials, to: Self.staged(path)) }
        // Origins that start together: one commits, and only that one tells.
        let isOurs = try await commit(credentials)
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

    private func isDone() async throws(Failure) -> Bool {
        do throws(DatabaseError) { return try await database.isBootstrapped() } catch { throw .database(error) }
    }

    private func commit(_ credentials: BootstrapCredentials) async throws(Failure) -> Bool {
        do throws(DatabaseError) { return try await database.bootstrap(credentials.seed) } catch {
            throw .database(error)
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
