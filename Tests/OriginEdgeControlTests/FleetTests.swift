// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Foundation
import Hashing
import Logging
import OCI
import OriginEdgeControl
import OriginMetadata
import SignedURL
import Synchronization
import Telemetry
import Testing

/// Two edges that are in rotation, and a clock that the test moves.
struct FleetFixture {
    static let ids = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"]
    static let report = FleetState.Report(
        isDraining: false, clockOffset: .zero, freeBytes: 1 << 30, capacityBytes: 1 << 30, inflightRequestCount: 0)

    let elapsed: ElapsedTime
    let fleet: Fleet
    let masters: LinkMasters
    let connections: [Int]
    let organization: Organization

    init() throws {
        let elapsed = ElapsedTime()
        self.elapsed = elapsed
        masters = try #require(
            LinkMasters(entries: [
                .init(state: .previous, master: LinkMaster(id: "k1", secret: SecureRandom.bytes(32))),
                .init(state: .current, master: LinkMaster(id: "k2", secret: SecureRandom.bytes(32))),
            ]))
        fleet = Fleet(
            linkTimeToLiveSeconds: 900, clock: elapsed.clock, metrics: Metrics(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        organization = Organization(
            id: 1, slug: try #require(OrganizationSlug("acme")), label: "cccccccccccccccc", missingReferences: .children
        )
        fleet.load(Self.ids.map { [masters] in Self.member($0, masters: masters) })
        connections = Self.ids.map { [fleet] in fleet.connected($0) }
        for id in Self.ids { fleet.heard(id, Self.report) }
    }

    static func member(_ id: String, masters: LinkMasters, isEnabled: Bool = true) -> FleetMember {
        FleetMember(
            record: EdgeRecord(
                id: id, name: "edge-\(id.prefix(1))", region: "eu", latitude: nil, longitude: nil,
                url: "http://\(id.prefix(1)).example", wrappedJoinSecret: [], createdAt: Date(timeIntervalSince1970: 0),
                isEnabled: isEnabled),
            joinKeys: JoinKeys(secret: Array(repeating: 7, count: 32), edgeID: id),
            masters: masters)
    }

    func redirect(_ text: String) -> String? {
        fleet.redirect(
            for: SHA256.hash(Array(text.utf8)), sizeBytes: 1 << 20, organization: organization, client: nil)
    }

    var owners: Set<String> { Set((0..<50).compactMap { redirect("\($0)")?.prefix(16) }.map(String.init)) }
}

final class ElapsedTime: Sendable {
    private let start = ContinuousClock.now
    private let elapsed = Mutex(Duration.zero)

    func advance(_ duration: Duration) { elapsed.withLock { $0 += duration } }

    var clock: Fleet.Clock {
        Fleet.Clock(
            unixMilliseconds: { 1_800_000_000_000 + self.elapsed.withLock { $0.components.seconds } * 1000 },
            instant: { self.start + self.elapsed.withLock(\.self) })
    }
}

@Suite("Fleet")
struct FleetTests {
    @Test("a redirect is a link that its edge accepts, and no other edge")
    func link() throws {
        let fixture = try FleetFixture()
        let url = try #require(fixture.redirect("blob"))
        let id = try #require(FleetFixture.ids.first { url.hasPrefix("http://\($0.prefix(1)).example/b/v1/sha256/") })
        let target = String(url.dropFirst("http://a.example".count))
        for edge in FleetFixture.ids {
            let keys = fixture.masters.keys(forEdge: edge).map(\.key)
            let verifier = LinkVerifier(edgeID: edge, keys: keys, timeToLive: .seconds(900))
            if edge == id {
                let link = try verifier.verify(target: target, now: 1_800_000_000)
                #expect(link.sizeBytes == 1 << 20)
                #expect(link.tenant == "cccccccccccccccc")
                #expect(link.keyID == "k2")
                #expect(link.expiry == 1_800_000_900)
            } else {
                #expect(throws: LinkRefusal.forbidden) { try verifier.verify(target: target, now: 1_800_000_000) }
            }
        }
    }

    @Test("a blob keeps its edge, and both edges get blobs")
    func choice() throws {
        let fixture = try FleetFixture()
        #expect(fixture.redirect("x") == fixture.redirect("x"))
        #expect(fixture.owners.count == 2)
    }

    @Test("the close of the control connection moves its blobs at once; of both, there is no redirect")
    func closed() throws {
        let fixture = try FleetFixture()
        fixture.fleet.disconnected(FleetFixture.ids[0], connection: fixture.connections[0])
        #expect(fixture.owners == ["http://b.example"])
        fixture.fleet.disconnected(FleetFixture.ids[1], connection: fixture.connections[1])
        #expect(fixture.redirect("x") == nil)
    }

    @Test("a silent edge gets no clients, even before anybody noticed")
    func silent() throws {
        let fixture = try FleetFixture()
        fixture.elapsed.advance(.seconds(5))
        fixture.fleet.heard(FleetFixture.ids[0], FleetFixture.report)
        fixture.elapsed.advance(.seconds(2))
        #expect(fixture.owners == ["http://a.example"])
        fixture.fleet.ticked()
        #expect(fixture.fleet.statuses.first { $0.record.id == FleetFixture.ids[1] }?.absence == .silent)
    }

    @Test("reloading keeps who is connected, and drops who is gone")
    func reload() throws {
        let fixture = try FleetFixture()
        fixture.fleet.load(FleetFixture.ids.map { FleetFixture.member($0, masters: fixture.masters) })
        #expect(fixture.owners.count == 2)
        fixture.fleet.load([FleetFixture.member(FleetFixture.ids[1], masters: fixture.masters)])
        #expect(fixture.owners == ["http://b.example"])
        fixture.fleet.load([FleetFixture.member(FleetFixture.ids[1], masters: fixture.masters, isEnabled: false)])
        #expect(fixture.redirect("x") == nil)
    }

    @Test("masters need exactly one current key; their version changes with the set")
    func masters() throws {
        let master = LinkMaster(id: "k", secret: SecureRandom.bytes(32))
        #expect(LinkMasters(entries: []) == nil)
        #expect(
            LinkMasters(entries: [.init(state: .current, master: master), .init(state: .current, master: master)])
                == nil)
        let one = try #require(LinkMasters(entries: [.init(state: .current, master: master)]))
        let two = try #require(
            LinkMasters(entries: [
                .init(state: .current, master: master),
                .init(state: .next, master: LinkMaster(id: "n", secret: SecureRandom.bytes(32))),
            ]))
        #expect(one.version != two.version)
    }
}
