// SPDX-License-Identifier: Apache-2.0

import OriginMetadata
import OriginSecrets
import TestSupport
import Testing

@Suite("secret store", .enabled(if: PostgresLease.isAvailable))
struct SecretStoreTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test("origins that start at once share the secret that was written first")
    func firstWriterWins() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        let store = SecretStore(
            database: database, wrapping: Wrapping(try KeyFile.loadOrCreate(directory.file("key"))))
        let found = try await withThrowingTaskGroup(of: [Secret].self) { group in
            for origin in UInt8(0)..<8 {
                group.addTask { try await store.loadOrCreate(name: "jwt") { ("key-\(origin)", [origin]) } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found.count == 8)
        #expect(Set(found.map { $0.map(\.keyID) }).count == 1)
        #expect(found.allSatisfy { $0.count == 1 && $0[0].state == .current && "key-\($0[0].bytes[0])" == $0[0].keyID })
        await database.close()
    }

    @Test(
        "a rotation makes the next key the current one and keeps the last one; of origins that rotate at once, one does"
    )
    func rotation() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        let store = SecretStore(
            database: database, wrapping: Wrapping(try KeyFile.loadOrCreate(directory.file("key"))))
        func ids() async throws -> [String: String] {
            let secrets = try await store.loadOrCreateWithNext(name: "jwt") { ("unused", [0]) }
            return Dictionary(uniqueKeysWithValues: secrets.map { ($0.state.rawValue, $0.keyID) })
        }
        _ = try await store.loadOrCreate(name: "jwt") { ("a", [1]) }
        _ = try await store.loadOrCreateWithNext(name: "jwt") { ("b", [2]) }
        #expect(try await ids() == ["current": "a", "next": "b"])
        #expect(try await !store.rotate(name: "jwt", ifOlderThan: .seconds(3600)) { ("c", [3]) })
        let before = try await database.latestChange()
        #expect(try await store.rotate(name: "jwt", ifOlderThan: .zero) { ("c", [3]) })
        #expect(try await ids() == ["previous": "a", "current": "b", "next": "c"])
        #expect(try await database.changes(after: before).map(\.effect) == [.changedKeys])
        let rotated = try await withThrowingTaskGroup(of: Bool.self) { group in
            for origin in UInt8(0)..<4 {
                group.addTask { try await store.rotate(name: "jwt", ifOlderThan: .zero) { ("d\(origin)", [origin]) } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(rotated.contains(true))
        let secrets = try await store.loadOrCreate(name: "jwt") { ("unused", [0]) }
        #expect(secrets.count == 3)
        #expect(secrets.count { $0.state == .current } == 1)
        await database.close()
    }

    @Test("another key file is noticed, and says so")
    func wrongKeyFile() async throws {
        let lease = try await PostgresLease()
        let database = try await lease.database()
        let right = SecretStore(
            database: database, wrapping: Wrapping(try KeyFile.loadOrCreate(directory.file("right"))))
        _ = try await right.loadOrCreate(name: "link") { ("a", [1]) }
        let wrong = SecretStore(
            database: database, wrapping: Wrapping(try KeyFile.loadOrCreate(directory.file("wrong"))))
        await #expect {
            _ = try await wrong.loadOrCreate(name: "link") { ("b", [2]) }
        } throws: { error in
            "\(error)".contains("another key file")
        }
        await database.close()
    }

    @Test("printing a secret does not show it")
    func redaction() {
        let secret = Secret(keyID: "a", bytes: [222, 173], state: .current)
        var dumped = ""
        dump(secret, to: &dumped)
        for shown in ["\(secret)", String(reflecting: secret), dumped] { #expect(!shown.contains("222")) }
    }
}
