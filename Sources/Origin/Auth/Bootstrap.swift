// SPDX-License-Identifier: Apache-2.0

package import Disk
import Hashing
import OCI
package import OriginMetadata

/// The first start of a deployment: an organization, an administrator and a token for each, told exactly once.
///
/// The credentials go to a file (0600) or to a terminal, never to a log. With neither the start is refused: only their
/// hashes are stored, so they would be lost. A file is staged beside its place before the database commits, so that
/// a crash in between loses nothing; the next start finds it and finishes.
package struct Bootstrap: Sendable {
    package enum Failure: Error, Sendable, CustomStringConvertible {
        case nowhereToTell
        case database(DatabaseError)
        case disk(DiskError)

        package var description: String {
            switch self {
            case .nowhereToTell:
                "first start: give --bootstrap-file FILE for the first credentials, or start once on a terminal"
            case .database(let error): "\(error)"
            case .disk(let error): "bootstrap file: \(error)"
            }
        }
    }

    private let database: Database
    private let path: String?
    private let tellTerminal: (@Sendable (String) -> Void)?

    /// - Parameters:
    ///   - path: The bootstrap file, if one is configured.
    ///   - tellTerminal: Prints on the terminal; `nil` if standard output is none.
    package init(database: Database, path: String?, tellTerminal: (@Sendable (String) -> Void)?) {
        self.database = database
        self.path = path
        self.tellTerminal = tellTerminal
    }

    /// Does what is left to do; after the first start nothing. Blocks for one small file; called before serving.
    package func run() async throws(Failure) {
        if try await isDone() {
            if let path { try await finishInterrupted(path) }
            return
        }
        guard path != nil || tellTerminal != nil else { throw .nowhereToTell }
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
