// SPDX-License-Identifier: Apache-2.0

import Disk
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
        try await Bootstrap(database: database, path: path, tellTerminal: nil).run()
        let credentials = try #require(try Self.credentials(path))
        #expect(try #require(try FileStatus.of(path)).permissions & 0o777 == 0o600)
        let token = try #require(try await database.token(secretSHA256: credentials.token.sha256))
        #expect(token.kind == .organization)
        #expect(!Identity(token).isAdministrator)
        let administrator = try #require(try await database.token(secretSHA256: credentials.administratorToken.sha256))
        #expect(Identity(administrator).isAdministrator)

        try await Bootstrap(database: database, path: path, tellTerminal: nil).run()
        #expect(try Self.credentials(path)?.token.secret == credentials.token.secret)
        await database.close()
    }

    @Test("on a terminal they are printed, once")
    func terminal() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        let told = Told()
        let bootstrap = Bootstrap(database: database, path: nil, tellTerminal: { told.append($0) })
        try await bootstrap.run()
        try await bootstrap.run()
        #expect(told.texts.count == 1)
        #expect(told.texts.first?.contains("dpo_") == true)
        await database.close()
    }

    @Test("with nobody to tell, nothing is made")
    func nowhere() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        await #expect(throws: Bootstrap.Failure.self) {
            try await Bootstrap(database: database, path: nil, tellTerminal: nil).run()
        }
        #expect(try await !database.isBootstrapped())
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
                origins.addTask { try await Bootstrap(database: database, path: path, tellTerminal: nil).run() }
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
        try await Bootstrap(database: database, path: path, tellTerminal: nil).run()
        #expect(try Self.credentials(path) == nil)
        try AtomicFile.write(credentials.json, to: path + ".staged", permissions: 0o600)
        try await Bootstrap(database: database, path: path, tellTerminal: nil).run()
        #expect(try Self.credentials(path)?.token.secret == credentials.token.secret)
        #expect(try !Directory.exists(path + ".staged"))
        await database.close()
    }

    final class Told: Sendable {
        private let state = Mutex<[String]>([])
        var texts: [String] { state.withLock(\.self) }
        func append(_ text: String) { state.withLock { $0.append(text) } }
    }
}
