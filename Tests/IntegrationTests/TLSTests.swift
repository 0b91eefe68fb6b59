// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import StackSupport
import Testing

extension Integration {
    /// Origin and edge over https, under an authority of their own.
    @Suite("TLS", .stack(edges: 1, hasTLS: true))
    struct TLS {
        /// A program of the stack that clients fetch a blob from.
        enum Server: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case origin = "origin-1"
            case edge = "edge-1"

            var testDescription: String { rawValue }

            func url(_ stack: StackDescription) -> String { self == .origin ? stack.origin : stack.edges[0].url }
            func address(_ stack: StackDescription) -> String { String(url(stack).dropFirst("https://".count)) }
            func pid(_ stack: StackDescription) -> Int32 { self == .origin ? stack.originPid : stack.edges[0].pid }

            func log(_ stack: StackDescription) throws -> String {
                try String(contentsOfFile: self == .origin ? stack.origins[0].log : stack.edges[0].log, encoding: .utf8)
            }

            /// Arguments of curl that fetch a blob from here.
            func get(_ hex: String, _ client: SecureClient) async throws -> [String] {
                guard self == .origin else { return [try await client.link(to: hex, in: "tls")] }
                let path = "/v2/\(client.stack.organization)/tls/blobs/sha256:\(hex)"
                return client.atOrigin(path, ["--header", "Depot-Redirect: never"])
            }
        }

        private static let largeBytes = 256 << 20

        @Test("push, redirect, fill and pull over https; who does not know the authority gets nothing")
        func wholePath() async throws {
            let client = try SecureClient(currentStack())
            let blob = try await client.pushedBlob(sizeBytes: 20 << 20, to: "tls")
            let link = try await client.link(to: blob.hex, in: "tls")
            #expect(link.hasPrefix(client.stack.edges[0].url + "/b/v1/") && link.hasPrefix("https://"))
            #expect(try await client.digest(of: [link]) == blob.hex, "a miss: the edge fills over https")
            #expect(try await client.digest(of: [link]) == blob.hex, "a hit")
            let part = try await client.curl(["--range", "1048570-1048585", link]).run().output
            #expect(part == (try Data(contentsOf: URL(filePath: blob.path)))[1_048_570..<1_048_586])
            for server in Server.allCases {
                let stranger = try await client.curl(
                    [server.url(client.stack)], trusting: "/etc/ssl/certs/ca-certificates.crt"
                ).result()
                #expect(stranger.status == 60, "\(stranger.summary)")
                let old = try await client.curl(["--tls-max", "1.1", server.url(client.stack)]).result()
                #expect(old.status == 35, "\(old.summary)")
            }
            let page = try await MetricsPage.read(client.stack.edges[0].adminUrl)
            #expect(page.sum("depot_edge_certificate_expiry_seconds") > Int(Date().timeIntervalSince1970))
        }

        @Test(
            "a certificate is replaced in the middle of a transfer, at SIGHUP and by itself", arguments: Server.allCases
        )
        func replacedCertificate(server: Server) async throws {
            let client = try SecureClient(currentStack())
            let address = server.address(client.stack)
            let used = client.authority.issued(server.rawValue)
            let blob = try await client.pushedBlob(sizeBytes: Self.largeBytes, to: "tls")
            let host = "IP:\(address.prefix { $0 != ":" })"
            let first = try await client.authority.issue("\(server.rawValue)-first", for: [host])
            let second = try await client.authority.issue("\(server.rawValue)-second", for: [host])

            let transfer = try client.startSlowly(try await server.get(blob.hex, client))
            try await waitUntil("the transfer is under way") { transfer.isUnderWay() }
            try first.replace(used)
            try #require(kill(server.pid(client.stack), SIGHUP) == 0)
            let serial = try await first.serial()
            try await waitUntil("new connections see the new certificate", within: .seconds(2)) {
                try await client.authority.servedSerial(address) == serial
            }
            #expect(transfer.command.isRunning, "the transfer was over before the certificate was replaced")
            let result = try await transfer.command.result()
            #expect(result.status == 0, "\(result.summary)")
            #expect(try await client.hex(of: transfer.path) == blob.hex)

            try second.replace(used)
            let next = try await second.serial()
            try await waitUntil("the files are looked at without being told", within: .seconds(15)) {
                try await client.authority.servedSerial(address) == next
            }
            #expect(ObservedProcess(server.pid(client.stack)).isAlive)
        }

        @Test("a broken certificate is refused with one line, and the one in use stays", arguments: Server.allCases)
        func brokenCertificate(server: Server) async throws {
            let client = try SecureClient(currentStack())
            let address = server.address(client.stack)
            let used = client.authority.issued(server.rawValue)
            let before = try await client.authority.servedSerial(address)
            let good = try Data(contentsOf: URL(filePath: used.certificatePath))
            func refusalCount() throws -> Int {
                try server.log(client.stack).components(separatedBy: "certificate refused").count - 1
            }
            let countBefore = try refusalCount()
            try Data("broken\n".utf8).write(to: URL(filePath: used.certificatePath))
            try await waitUntil("the log says so", within: .seconds(15)) { try refusalCount() > countBefore }
            #expect(try server.log(client.stack).contains(used.certificatePath))
            #expect(try await client.authority.servedSerial(address) == before)
            let next = try await client.authority.issue(
                "\(server.rawValue)-mended", for: ["IP:\(address.prefix { $0 != ":" })"])
            try good.write(to: URL(filePath: used.certificatePath))
            try next.replace(used)
            let serial = try await next.serial()
            try await waitUntil("a good pair is taken again", within: .seconds(15)) {
                try await client.authority.servedSerial(address) == serial
            }
            #expect(try refusalCount() == countBefore + 1)
        }

        @Test(
            "SIGTERM: running transfers end well, nobody new is let in, idle connections go", arguments: Server.allCases
        )
        func drain(server: Server) async throws {
            let stack = try currentStack()
            let client = try SecureClient(stack)
            let blob = try await client.pushedBlob(sizeBytes: Self.largeBytes, to: "tls")
            let transfer = try client.startSlowly(try await server.get(blob.hex, client))
            // A connection between two requests: its handshake is over, and it stays open as long as the server lets it.
            let idle = try Command(
                ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", server.address(client.stack)].asIdleClient,
                limit: .seconds(60)
            ).start()
            try await waitUntil("the transfer is under way") { transfer.isUnderWay() }
            try #require(kill(server.pid(client.stack), SIGTERM) == 0)
            try await waitUntil("nobody new is let in", within: .seconds(10)) {
                try await client.curl([server.url(client.stack)]).result().status == 7
            }
            #expect(transfer.command.isRunning, "the transfer was over before the listener closed")
            #expect(ObservedProcess(server.pid(client.stack)).isAlive)
            let result = try await transfer.command.result()
            #expect(result.status == 0, "\(result.summary)")
            #expect(try await client.hex(of: transfer.path) == blob.hex)
            try await waitUntil("the process ends", within: .seconds(15)) {
                !ObservedProcess(server.pid(client.stack)).isAlive
            }
            try await waitUntil("the idle connection was closed", within: .seconds(10)) { !idle.isRunning }
            try await stack.up()
        }
    }
}

extension [String] {
    /// The same client with an input that does not end and says nothing.
    fileprivate var asIdleClient: [String] {
        // bash's coprocess gives an open pipe without a second process that would have to end.
        ["bash", "-c", "exec 3<> <(:); exec \(joined(separator: " ")) <&3"]
    }
}
