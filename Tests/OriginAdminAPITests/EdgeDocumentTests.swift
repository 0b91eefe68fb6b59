// SPDX-License-Identifier: Apache-2.0

import EdgeProtocol
import Foundation
import OCI
import OriginAdminAPI
import OriginAuth
import OriginEdgeControl
import OriginMetadata
import Testing

@Suite("Edges in the admin API")
struct EdgeDocumentTests {
    static func description(_ text: String) throws -> EdgeDescription {
        let document = try BoundedJSON.parse(Array(text.utf8), limits: JSONLimits(bytesMax: 4096))
        try EdgeDocument.description.check(document)
        return try EdgeDocument.description(document)
    }

    @Test("a description is read with and without a location")
    func descriptions() throws {
        let plain = try Self.description(#"{"name":"fra-1","region":"eu","url":"https://Fra-1.example/"}"#)
        #expect(plain.name == "fra-1")
        #expect(plain.url.description == "https://fra-1.example")
        #expect(plain.latitude == nil)
        let located = try Self.description(
            #"{"name":"a","region":"eu","url":"http://a:1","location":{"latitude":50.5,"longitude":-8e0}}"#)
        #expect(located.latitude == 50.5)
        #expect(located.longitude == -8)
    }

    @Test(
        "a description that cannot be used is refused",
        arguments: [
            "", "[]", "null", "{}", #"{"name":"a","region":"eu"}"#, #"{"name":1,"region":"eu","url":"http://a"}"#,
            #"{"name":"A","region":"eu","url":"http://a"}"#, #"{"name":"","region":"eu","url":"http://a"}"#,
            #"{"name":"a b","region":"eu","url":"http://a"}"#, #"{"name":"a","region":"eu","url":"ftp://a"}"#,
            #"{"name":"a","region":"eu","url":"http://a/path"}"#, #"{"name":"a","region":"eu","url":"http://u@a"}"#,
            #"{"name":"a","region":"eu","url":"http://a","locaton":{}}"#,
            #"{"name":"a","region":"eu","url":"http://a","location":{"latitude":1}}"#,
            #"{"name":"a","region":"eu","url":"http://a","location":{"latitude":91,"longitude":0}}"#,
            #"{"name":"a","region":"eu","url":"http://a","location":{"latitude":1e999,"longitude":0}}"#,
            #"{"name":"a","name":"b","region":"eu","url":"http://a"}"#,
        ])
    func badDescriptions(text: String) {
        #expect(throws: (any Error).self) { try Self.description(text) }
    }

    @Test("the answer to a creation holds the credential; a listing never does")
    func answers() throws {
        let record = EdgeRecord(
            id: "aaaaaaaaaaaaaaaa", name: "a", region: "eu", latitude: 1, longitude: 2, url: "http://a",
            wrappedJoinSecret: [1, 2, 3], createdAt: Date(timeIntervalSince1970: 0), isEnabled: true)
        let credential = try #require(
            JoinCredential(edgeID: record.id, secret: Array(repeating: 9, count: 32), originURL: "http://o:1"))
        let created = EdgeDocument.document(record, credential)
        #expect(created["credential"] == .string(credential.text))
        #expect(created["location"]?["latitude"] == .number("1.0"))
        let report = FleetState.Report(
            isDraining: false, clockOffset: .zero, freeBytes: 5, capacityBytes: 6, inflightRequestCount: 7)
        let serving = EdgeDocument.document(Fleet.Status(record: record, absence: nil, report: report))
        #expect(serving["state"] == .string("serving"))
        #expect(serving["capacity_bytes"] == .number("6"))
        #expect(serving["credential"] == nil)
        let absent = EdgeDocument.document(Fleet.Status(record: record, absence: .notConnected, report: nil))
        #expect(absent["state"] == .string("not_connected"))
    }
}

@Suite("Readiness")
struct ReadinessTests {
    @Test("every check that does not pass is named; a drain outweighs them")
    func faults() async {
        let readiness = Readiness([
            .init("first") { true }, .init("second") { false }, .init("third") { false },
        ])
        #expect(await readiness.faults() == ["second", "third"])
        readiness.beginDrain()
        #expect(await readiness.faults() == ["draining"])
        #expect(await Readiness([]).faults() == [])
    }
}
