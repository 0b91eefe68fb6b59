// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import OCI
import StackSupport
import Testing

extension Integration {
    /// A byte that changes on the way from the origin to an edge reaches no client.
    @Suite("Tampering between origin and edge")
    struct TamperedTransfer {
        /// An edge that knows the origin only by the address of a proxy.
        private func withProxiedEdge(_ body: (System, TamperingProxy) async throws -> Void) async throws {
            let proxy = try TamperingProxy()
            defer { proxy.close() }
            try await withOwnStack(edges: 0, environment: ["DEPOT_ORIGIN_URL": proxy.url]) { stack in
                let system = try System(stack)
                proxy.forward(to: system.origin)
                let edge = try await startEdge(of: system)
                do {
                    try await waitUntil("the edge is in rotation", within: .seconds(20)) {
                        try await system.edgesInRotation() == 1
                    }
                    try await body(system, proxy)
                } catch {
                    try await edge.stop()
                    throw error
                }
                try await edge.stop()
            }
        }

        private func startEdge(of system: System) async throws -> RunningCommand {
            let stack = system.stack
            let address = "127.0.0.9:\(try freePort(of: "127.0.0.9"))"
            let created = try await ask(
                system.admin,
                HTTPRequest(
                    "POST", "/api/v1/edges",
                    headers: [
                        ("Authorization", "Bearer \(system.description.adminToken)"),
                        ("Content-Type", "application/json"),
                    ],
                    body: Array(#"{"name":"proxied","region":"eu-1","url":"http://\#(address)"}"#.utf8)))
            try #require([200, 201].contains(created.status), "\(created.text)")
            let credential = try #require(created.json?["credential"]?.stringValue)
            let credentialPath = "\(stack.path)/proxied.credential"
            try #require(
                FileManager.default.createFile(
                    atPath: credentialPath, contents: Data(credential.utf8), attributes: [.posixPermissions: 0o600]))
            let programs = try #require(
                ObservedProcess(system.description.originPid).commandLine().first?.split(separator: "/").dropLast())
            return try Command(
                [
                    "/\(programs.joined(separator: "/"))/depot-edge", "serve", "--cache-directory",
                    "\(stack.path)/proxied",
                    "--credential-file", credentialPath, "--listen", address, "--admin-listen", "127.0.0.9:0",
                ], limit: .seconds(150)
            ).start()
        }

        private func freePort(of host: String) throws -> UInt16 {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in(Endpoint(host: host, port: 0))
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isBound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            try #require(isBound)
            return UInt16(bigEndian: address.sin_port)
        }

        @Test("a byte that changes once is fetched again, one that changes always ends the stream before it")
        func tamperedBytes() async throws {
            try await withProxiedEdge { system, proxy in
                let repository = system.repository("tampered")
                for changed in [16, 5_000_000, 20 * .mebibyte + 500] {
                    let marker = changed - 16..<changed  // In the same piece, so that no fetch begins between the two.

                    let once = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte + 1000)
                    proxy.tamper(after: Array(once.bytes[marker]), count: 1)
                    let healed = try await repository.link(to: once).get(isKept: false)
                    #expect(proxy.tamperedCount == 1)
                    #expect(healed.ending == .complete)
                    #expect(healed.digest == once.digest)

                    let always = try await repository.pushedBlob(sizeBytes: 20 * .mebibyte + 1000)
                    let link = try await repository.link(to: always)
                    proxy.tamper(after: Array(always.bytes[marker]), count: .max)
                    let broken = try await link.get()
                    #expect(proxy.tamperedCount > 0)
                    if broken.status == 200 {
                        #expect(broken.ending == .fin)
                        #expect(broken.bodyBytes <= changed / .mebibyte * .mebibyte)
                        #expect(always.contains(broken.body))
                    } else {
                        #expect((500..<600).contains(broken.status))
                    }
                    proxy.tamper(after: [], count: 0)
                    #expect(try await link.get(isKept: false).digest == always.digest, "and nothing of it was kept")
                }
            }
        }
    }
}
