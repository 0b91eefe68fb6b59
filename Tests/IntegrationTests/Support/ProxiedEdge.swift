// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import OCI
import StackSupport
import Testing

/// A system with one edge that knows the origin only by the address of a proxy.
///
/// - Parameter arguments: More of `depot-edge serve`.
func withEdge(
    behind proxy: some OriginProxy, arguments: [String] = [], _ body: (System) async throws -> Void
) async throws {
    defer { proxy.close() }
    try await withOwnStack(edges: 0, environment: ["DEPOT_ORIGIN_URL": proxy.url]) { stack in
        let system = try System(stack)
        proxy.forward(to: system.origin)
        let edge = try await startEdge(of: system, arguments)
        do {
            try await waitUntil("the edge is in rotation", within: .seconds(60)) {
                try await system.edgesInRotation() == 1
            }
            try await body(system)
        } catch {
            try await edge.stop()
            throw error
        }
        try await edge.stop()
    }
}

/// Makes an edge at the origin and starts it, with a cache below the stack's folder.
/// - Parameter environment: Added to that of the tests.
func startEdge(
    of system: System, named name: String = "proxied", _ arguments: [String] = [], environment: [String: String] = [:]
) async throws -> RunningCommand {
    let stack = system.stack
    let address = "127.0.0.9:\(try freePort(of: "127.0.0.9"))"
    let created = try await ask(
        system.admin,
        HTTPRequest(
            "POST", "/api/v1/edges",
            headers: [
                ("Authorization", "Bearer \(system.description.adminToken)"), ("Content-Type", "application/json"),
            ],
            body: Array(#"{"name":"\#(name)","region":"eu-1","url":"http://\#(address)"}"#.utf8)))
    try #require([200, 201].contains(created.status), "\(created.text)")
    let credential = try #require(created.json?["credential"]?.stringValue)
    let credentialPath = "\(stack.path)/\(name).credential"
    try #require(
        FileManager.default.createFile(
            atPath: credentialPath, contents: Data(credential.utf8), attributes: [.posixPermissions: 0o600]))
    let programs = try #require(
        ObservedProcess(system.description.originPid).commandLine().first?.split(separator: "/").dropLast())
    return try Command(
        [
            "/\(programs.joined(separator: "/"))/depot-edge", "serve", "--cache-directory", "\(stack.path)/\(name)",
            "--credential-file", credentialPath, "--listen", address, "--admin-listen", "127.0.0.9:0",
        ] + arguments, environment: environment, limit: .seconds(170)
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
