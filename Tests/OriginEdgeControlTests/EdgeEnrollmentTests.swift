// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Logging
import OriginAuth
import OriginEdgeControl
import OriginMetadata
import OriginSecrets
import SignedURL
import Telemetry
import TestSupport
import Testing

@Suite("Making edges", .enabled(if: PostgresLease.isAvailable))
struct EdgeEnrollmentTests {
    /// One origin's view of a database and a key file.
    struct Origin {
        let masters: LinkMasters
        let fleet: Fleet
        let directory: EdgeDirectory
        let enrollment: EdgeEnrollment

        init(_ database: Database, keyFile: String) async throws {
            let wrapping = Wrapping(try KeyFile.loadOrCreate(keyFile))
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            masters = try await LinkMasters.load(from: SecretStore(database: database, wrapping: wrapping))
            fleet = Fleet(linkTimeToLiveSeconds: 900, metrics: Metrics(), logger: logger)
            directory = EdgeDirectory(
                database: database, wrapping: wrapping, masters: masters, fleet: fleet, logger: logger)
            let url = try #require(BaseURL("http://127.0.0.1:8080"))
            enrollment = EdgeEnrollment(
                database: database,
                wrapping: wrapping,
                hosts: try HostPolicy(externalURL: "https://registry.example", domain: nil, listenHost: "127.0.0.1"),
                directory: directory,
                originURL: { url })
        }
    }

    static func edge(_ name: String, url: String = "http://127.0.0.2:9000") throws -> EdgeDescription {
        try EdgeDescription(name: name, region: "eu", location: nil, url: url)
    }

    /// Why an edge is not made; `nil` if it is.
    static func refusal(_ origin: Origin, _ name: String, url: String) async -> EdgeEnrollmentError? {
        do throws(EdgeEnrollmentError) {
            _ = try await origin.enrollment.create(
                try EdgeDescription(name: name, region: "eu", location: nil, url: url))
            return nil
        } catch {
            return error
        }
    }

    @Test("an edge is known at once here, and elsewhere after a refresh, with the same keys")
    func create() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let first = try await Origin(database, keyFile: folder.path + "/key")
        let second = try await Origin(database, keyFile: folder.path + "/key")
        #expect(first.masters.version == second.masters.version)
        let (record, credential) = try await first.enrollment.create(try Self.edge("edge-1"))
        #expect(record.id.utf8.count == 16)
        #expect(credential.edgeID == record.id)
        #expect(credential.originURL == "http://127.0.0.1:8080")
        #expect(second.fleet.member(record.id) == nil)
        try await second.directory.refresh()

        let path = EdgeAPIPath.keys
        let nonce = RequestSigner.newNonce()
        let headers = RequestSigner(keys: credential.keys).headers(
            method: "GET", path: path, body: [], now: 1_800_000_000, nonce: nonce)
        for origin in [first, second] {
            let member = try #require(origin.fleet.member(record.id))
            #expect(member.record.wrappedJoinSecret != credential.secret)
            let verified = try RequestVerifier().verify(
                method: "GET", path: path, header: { name in headers.first { $0.0 == name }?.1 }, body: [],
                now: 1_800_000_000, keys: { origin.fleet.member($0)?.joinKeys })
            #expect(verified.edgeID == record.id)
        }
        #expect(
            first.fleet.member(record.id)?.linkKeys.map(\.key.secret)
                == second.fleet.member(record.id)?.linkKeys.map(\.key.secret))
        await database.close()
    }

    @Test("names are taken once, and blob hosts that share the registry's credentials are refused")
    func refusals() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let origin = try await Origin(database, keyFile: folder.path + "/key")
        _ = try await origin.enrollment.create(try Self.edge("edge-1"))
        guard case .nameTaken = await Self.refusal(origin, "edge-1", url: "http://127.0.0.2:9000") else {
            Issue.record("a name was given twice")
            return
        }
        let sharing = [
            "http://127.0.0.1:1", "https://registry.example:444", "https://e.registry.example", "http://localhost:1",
        ]
        for url in sharing {
            guard case .invalid = await Self.refusal(origin, "edge-2", url: url) else {
                Issue.record("\(url) was taken as a blob host")
                continue
            }
        }
        #expect(origin.fleet.statuses.map(\.record.name) == ["edge-1"])
        await database.close()
    }

    @Test("with another key file the edge is left out, not served with a wrong key")
    func otherKeyFile() async throws {
        let lease = try await PostgresLease()
        let folder = try TemporaryDirectory()
        let database = try await lease.database()
        let origin = try await Origin(database, keyFile: folder.path + "/key")
        let (record, _) = try await origin.enrollment.create(try Self.edge("edge-1"))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let fleet = Fleet(linkTimeToLiveSeconds: 900, metrics: Metrics(), logger: logger)
        let wrapping = Wrapping(try KeyFile.loadOrCreate(folder.path + "/other"))
        try await EdgeDirectory(
            database: database, wrapping: wrapping, masters: origin.masters, fleet: fleet, logger: logger
        ).refresh()
        #expect(fleet.member(record.id) == nil)
        await database.close()
    }
}
