// SPDX-License-Identifier: Apache-2.0

import OriginMetadata
import TestSupport
import Testing

@Suite("edges, secrets, origins, changes", .enabled(if: PostgresLease.isAvailable))
struct FleetTests {
    private let lease: PostgresLease

    init() async throws { lease = try await PostgresLease() }

    @Test("edges are kept as made; a name is given once")
    func edges() async throws {
        let database = try await lease.database()
        let made = try await database.createEdge(
            id: "aaaaaaaaaaaaaaaa", name: "fra1", region: "eu", latitude: 50.1, longitude: 8.7,
            url: "https://fra1.example", wrappedJoinSecret: [1, 2])
        let again = try await database.createEdge(
            id: "aaaaaaaaaaaaaaaa", name: "fra1", region: "eu", latitude: nil, longitude: nil, url: "https://x",
            wrappedJoinSecret: [])
        #expect(made == again && made.latitude == 50.1 && made.isEnabled)
        let kind = await failure {
            try await database.createEdge(
                id: "bbbbbbbbbbbbbbbb", name: "fra1", region: "eu", latitude: nil, longitude: nil, url: "https://y",
                wrappedJoinSecret: [])
        }
        #expect(kind == .uniqueViolation(constraint: "edges_name_key"))
        let second = try await database.createEdge(
            id: "cccccccccccccccc", name: "ams1", region: "eu", latitude: nil, longitude: nil, url: "https://z",
            wrappedJoinSecret: [])
        #expect(try await database.edges() == [second, made])
        #expect(try await database.edge(id: made.id) == made)
        #expect(try await database.edge(id: "dddddddddddddddd") == nil)
        await database.close()
    }

    @Test("the first secret of a name wins; other names have their own")
    func secrets() async throws {
        let database = try await lease.database()
        #expect(try await database.insertWrappedSecretIfAbsent(name: "jwt", keyID: "a", wrapped: [1], state: .current))
        #expect(try await !database.insertWrappedSecretIfAbsent(name: "jwt", keyID: "b", wrapped: [2], state: .current))
        #expect(try await !database.insertWrappedSecretIfAbsent(name: "jwt", keyID: "a", wrapped: [3], state: .current))
        #expect(try await database.insertWrappedSecretIfAbsent(name: "link", keyID: "a", wrapped: [4], state: .current))
        let secrets = try await database.wrappedSecrets("jwt")
        #expect(secrets.map(\.wrapped) == [[1]] && secrets.first?.state == .current)
        await database.close()
    }

    @Test("origins are listed while they are seen")
    func origins() async throws {
        let database = try await lease.database()
        try await database.registerOrigin(id: "one", url: "http://old")
        try await database.registerOrigin(id: "one", url: "http://one")
        try await database.registerOrigin(id: "two", url: "http://two")
        #expect(try await database.origins(seenWithin: .seconds(60)).map(\.url) == ["http://one", "http://two"])
        try await database.run { session throws(DatabaseError) in
            _ = try session.query("UPDATE origins SET seen_at = now() - interval '1 minute' WHERE id = 'one'")
        }
        #expect(try await database.origins(seenWithin: .seconds(30)).map(\.id) == ["two"])
        await database.close()
    }

    @Test("who reads the changes in order misses none, however many append at once")
    func changes() async throws {
        let database = try await lease.database()
        #expect(try await database.latestChange() == 0)
        let count = 60
        let reader = Task { () async throws in
            var seen: [Change] = []
            while seen.count < count { seen += try await database.changes(after: seen.last?.id ?? 0, limit: 7) }
            return seen
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<count {
                group.addTask {
                    try await database.transaction { session throws(DatabaseError) in
                        try session.appendChange(kind: "test", subject: "\(index)")
                    }
                }
            }
            try await group.waitForAll()
        }
        let seen = try await reader.value
        #expect(Set(seen.map(\.subject)).count == count)
        #expect(seen.map(\.id) == seen.map(\.id).sorted())
        #expect(try await database.latestChange() == seen.last?.id)
        await database.close()
    }
}
