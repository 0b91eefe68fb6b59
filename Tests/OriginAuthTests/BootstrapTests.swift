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
        let events = try await database.auditEvents(organizationID: nil, after: 0, limit: 10).elements.map(\.event)
        #expect(events.map(\.action) == ["deployment.bootstrap"], "the audit log begins with it")
        #expect(events.first?.detail == "told on a terminal")
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
        func redeem(_ text: String, grace: Duration = .seconds(60)) async throws -> BootstrapCredentials {
            try await Self.bootstrap(database, path: nil, tokenPath: path, grace: grace).redeem(
                text, of: AuthFixture.caller([]), judgedBy: fixture.service)
        }
        for wrong in ["", "dpb_", String(token.dropLast()), token + "A", String(token.dropLast()) + "!"] {
            await #expect(throws: CredentialFault.invalid) { try await redeem(wrong) }
        }
        let credentials = try await redeem(token)
        let administrator = try #require(
            try await database.token(secretSHA256: credentials.administratorToken.sha256))
        #expect(Identity(administrator).isAdministrator)
        // The answer was lost: the same token yields the same, for a while, and the origin may start meanwhile.
        try await Self.bootstrap(database, path: nil, tokenPath: path).run()
        #expect(try Directory.exists(path))
        let again = try await redeem(token)
        #expect(again.administratorToken.secret == credentials.administratorToken.secret)
        #expect(again.token.secret == credentials.token.secret)
        #expect(again.token.secret != again.administratorToken.secret)
        #expect(try await database.token(secretSHA256: again.token.sha256)?.kind == .organization)
        await #expect(throws: CredentialFault.invalid) { try await redeem(token, grace: .zero) }
        let events = try await database.auditEvents(organizationID: nil, after: 0, limit: 10).elements.map(\.event)
        #expect(events.map(\.action) == ["deployment.bootstrap"])
        #expect(events.first?.actor == "one-time token" && events.first?.address == "192.0.2.1")

        // Elsewhere the same token stands for others: nobody makes the credentials of it alone.
        let elsewhere = try await PostgresLease()
        let other = try await elsewhere.database()
        let unrelated = Self.bootstrap(other, path: nil, tokenPath: path)
        try await unrelated.run()
        let different = try await unrelated.redeem(token, of: AuthFixture.caller([]), judgedBy: fixture.service)
        #expect(different.administratorToken.secret != credentials.administratorToken.secret)
        #expect(different.token.secret != credentials.token.secret)
        await other.close()

        // Later it is worth nothing, and the next start removes it.
        try await Self.bootstrap(database, path: nil, tokenPath: path, grace: .zero).run()
        #expect(try !Directory.exists(path))
        await database.close()
    }

    @Test("a one-time token that comes after another first start is worth nothing, also when it comes again")
    func tooLate() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let (path, fixture) = (folder.path + "/bootstrap-token", try await AuthFixture())
        try await Self.bootstrap(database, path: nil, tokenPath: path).run()
        let left = try #require(try AtomicFile.read(path, bytesMax: 256))
        let token = try #require(String(validating: left.dropLast(), as: UTF8.self))
        try await Self.bootstrap(database, path: folder.path + "/bootstrap.json").run()
        for _ in 0..<2 {
            await #expect(throws: CredentialFault.invalid) {
                try await Self.bootstrap(database, path: nil, tokenPath: path).redeem(
                    token, of: AuthFixture.caller([]), judgedBy: fixture.service)
            }
        }
        await database.close()
    }

    @Test("a deployment without an administrator starts for the first time again, and keeps what it has")
    func withoutAdministrator() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let path = folder.path + "/bootstrap.json"
        try await Self.bootstrap(database, path: path).run()
        let lost = try #require(try Self.credentials(path))
        // As Docs/operations.md says.
        try await database.run { session throws(DatabaseError) in
            _ = try session.query("UPDATE users SET is_administrator = false")
        }
        try await Self.bootstrap(database, path: path).run()
        let credentials = try #require(try Self.credentials(path))
        let administrator = try #require(try await database.token(secretSHA256: credentials.administratorToken.sha256))
        #expect(Identity(administrator).isAdministrator)
        let kept = try #require(try await database.token(secretSHA256: lost.token.sha256))
        let made = try #require(try await database.token(secretSHA256: credentials.token.sha256))
        #expect(kept.holder == made.holder, "the organization is the same")
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
        let event = AuditEvent(
            organization: nil, actor: "test", action: "deployment.bootstrap", target: "", outcome: .done, address: "",
            requestID: "")
        #expect(try await database.bootstrap(credentials.seed, event))
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
        grace: Duration = .seconds(60), tellTerminal: (@Sendable (String) -> Void)? = nil
    ) -> Bootstrap {
        Bootstrap(
            database: database, path: path, tokenPath: tokenPath, grace: grace, tellTerminal: tellTerminal,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    final class Told: Sendable {
        private let state = Mutex<[String]>([])
        var texts: [String] { state.withLock(\.self) }
        func append(_ text: String) { state.withLock { $0.append(text) } }
    }
}
