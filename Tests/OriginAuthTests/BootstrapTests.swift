// SPDX-License-Identifier: Apache-2.0

import Disk
import Logging
import OriginAuth
import OriginMetadata
import Synchronization
import TestSupport
import Testing

@Suite("First start", .enabled(if: PostgresLease.isAvailable))
struct BootstrapTests {
    static func credentials(_ path: String) throws -> BootstrapCredentials? {
        try AtomicFile.read(path, bytesMax: BootstrapCredentials.jsonBytesMax).flatMap {
            BootstrapCredentials(json: $0)
        }
    }

    @Test("the credentials are written once, for their owner alone, and they work")
    func file() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let path = folder.path + "/bootstrap.json"
        try await Self.bootstrap(database, path: path).run()
        let credentials = try #require(try Self.credentials(path))
        #expect(try #require(try FileStatus.of(path)).permissions & 0o777 == 0o600)
        let token = try #require(try await database.token(secretSHA256: credentials.token.sha256))
        #expect(token.kind == .organization)
        #expect(!Identity(token).isAdministrator)
        let administrator = try #require(try await database.token(secretSHA256: credentials.administratorToken.sha256))
        #expect(Identity(administrator).isAdministrator)

        try await Self.bootstrap(database, path: path).run()
        #expect(try Self.credentials(path)?.token.secret == credentials.token.secret)
        await database.close()
    }

    @Test("on a terminal they are printed, once")
    func terminal() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        let told = Told()
        let bootstrap = Self.bootstrap(database, path: nil) { told.append($0) }
        try await bootstrap.run()
        try await bootstrap.run()
        #expect(told.texts.count == 1)
        #expect(told.texts.first?.contains("dpo_") == true)
        await database.close()
    }

    @Test("with nobody to tell, a one-time token is left, stays over a restart, and is redeemed once")
    func oneTimeToken() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let path = folder.path + "/bootstrap-token"
        try await Self.bootstrap(database, path: nil, tokenPath: path).run()
        let left = try #require(try AtomicFile.read(path, bytesMax: 256))
        #expect(try #require(try FileStatus.of(path)).permissions & 0o777 == 0o600)
        try await Self.bootstrap(database, path: nil, tokenPath: path).run()
        #expect(try AtomicFile.read(path, bytesMax: 256) == left)
        #expect(try await !database.isBootstrapped())

        let fixture = try await AuthFixture()
        let token = try #require(String(validating: left.dropLast(), as: UTF8.self))
        func redeem(_ text: String) async throws -> BootstrapCredentials {
            try await fixture.service.redeem(bootstrapToken: text, in: database, of: AuthFixture.caller([]))
        }
        for wrong in ["", "dpb_", String(token.dropLast()), token + "A", String(token.dropLast()) + "!"] {
            await #expect(throws: CredentialFault.invalid) { try await redeem(wrong) }
        }
        let credentials = try await redeem(token)
        let administrator = try #require(
            try await database.token(secretSHA256: credentials.administratorToken.sha256))
        #expect(Identity(administrator).isAdministrator)
        await #expect(throws: CredentialFault.invalid) { try await redeem(token) }
        try await Self.bootstrap(database, path: nil, tokenPath: path).run()
        #expect(try !Directory.exists(path))
        await database.close()
    }

    @Test("of origins that start together, one tells, and what it tells is true")
    func race() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let path = folder.path + "/bootstrap.json"
        try await withThrowingTaskGroup(of: Void.self) { origins in
            for _ in 0..<4 {
                origins.addTask { try await Self.bootstrap(database, path: path).run() }
            }
            try await origins.waitForAll()
        }
        let credentials = try #require(try Self.credentials(path))
        #expect(try await database.token(secretSHA256: credentials.token.sha256) != nil)
        await database.close()
    }

    @Test("a crash between the commit and the file is made good by the next start; one before it leaves nothing")
    func crash() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let path = folder.path + "/bootstrap.json"
        let credentials = BootstrapCredentials.generate()
        #expect(try await database.bootstrap(credentials.seed))
        try AtomicFile.write(BootstrapCredentials.generate().json, to: path + ".staged", permissions: 0o600)
        try await Self.bootstrap(database, path: path).run()
        #expect(try Self.credentials(path) == nil)
        try AtomicFile.write(credentials.json, to: path + ".staged", permissions: 0o600)
        try await Self.bootstrap(database, path: path).run()
        #expect(try Self.credentials(path)?.token.secret == credentials.token.secret)
        #expect(try !Directory.exists(path + ".staged"))
        await database.close()
    }

    /// - Parameter tokenPath: A path where nothing can be written, unless a test says otherwise.
    static func bootstrap(
        _ database: Database, path: String?, tokenPath: String = "/proc/depot/bootstrap-token",
        tellTerminal: (@Sendable (String) -> Void)? = nil
    ) -> Bootstrap {
        Bootstrap(
            database: database, path: path, tokenPath: tokenPath, tellTerminal: tellTerminal,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    final class Told: Sendable {
        private let state = Mutex<[String]>([])
        var texts: [String] { state.withLock(\.self) }
        func append(_ text: String) { state.withLock { $0.append(text) } }
    }
}
