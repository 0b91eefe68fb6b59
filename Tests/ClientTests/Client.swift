// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// The registry clients of Debian, as users run them.
enum ClientName: String, CaseIterable, CustomTestStringConvertible, Sendable {
    case docker, podman, skopeo, buildah, containerd

    var testDescription: String { rawValue }

    /// Another client, a different one for each.
    var next: ClientName {
        let all = Self.allCases
        return all[(all.firstIndex(of: self)! + 1) % all.count]
    }
}

/// What tests ask of every client.
protocol Client: Sendable {
    /// Pushes the entry `name` of a layout, with all platforms if it is an index.
    func push(_ layout: Layout, _ name: String, to reference: String) async throws

    /// Pulls into an empty store and reads back from it what was stored.
    /// - Returns: The SHA-256 of each layer's tar, as the client holds it now, in the image's order. With an index:
    ///   of the image for this machine.
    func pull(_ reference: String) async throws -> [String]
}

/// The clients of one suite run, with their daemons, against the suite's stack.
final class Clients: Sendable {
    @TaskLocal static var current: Clients?

    let scratch: ScratchDirectory
    let stack: RunningStack
    let authFile: String
    /// Folder with the authority's certificate, if the stack has TLS.
    let certificates: String?
    let docker: Docker
    let containerd: Containerd

    /// Starts the daemons. The caller calls `stop()`.
    init(_ stack: RunningStack) async throws {
        self.stack = stack
        let scratch = try ScratchDirectory("clients")
        self.scratch = scratch
        let description = stack.description
        let credential = Data("x-token:\(description.token)".utf8).base64EncodedString()
        let auth = ["auths": [description.registryHost: ["auth": credential]]]
        authFile = try scratch.folder("auth") + "/config.json"
        try JSONEncoder().encode(auth).write(to: URL(filePath: authFile))
        let authority = description.certificateAuthority
        certificates = try authority.map { file in
            let folder = try scratch.folder("certificates")
            try FileManager.default.copyItem(atPath: file, toPath: folder + "/ca.crt")
            return folder
        }
        docker = try await Docker(scratch, configuration: scratch.path("auth"))
        do {
            containerd = try await Containerd(
                scratch, user: "x-token:\(description.token)",
                secure: authority.map { (description.registryHost, $0) })
        } catch {
            await docker.stop()
            throw error
        }
    }

    func stop() async {
        await docker.stop()
        await containerd.stop()
    }

    subscript(_ name: ClientName) -> any Client {
        switch name {
        case .docker: docker
        case .podman: Podman(authFile: authFile, certificates: certificates)
        case .skopeo: Skopeo(authFile: authFile, certificates: certificates)
        case .buildah: Buildah(authFile: authFile, certificates: certificates)
        case .containerd: containerd
        }
    }
}

/// Runs the clients' daemons for a suite; goes inside `.stack(…)`.
struct ClientsTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        let clients = try await Clients(try currentStack())
        do {
            try await Clients.$current.withValue(clients) { try await function() }
        } catch {
            await clients.stop()
            throw error
        }
        await clients.stop()
    }
}

extension Trait where Self == ClientsTrait {
    /// docker's and containerd's daemons, and credentials for all clients.
    static var clients: ClientsTrait { ClientsTrait() }
}

/// The clients of the suite that the calling test belongs to.
func currentClients() throws -> Clients {
    try #require(Clients.current, "the suite needs the trait .clients")
}

/// Unpacks what `docker save` and its kin write, and hashes the layers' tars inside.
func layerDigests(ofArchive archive: String, below scratch: ScratchDirectory) async throws -> [String] {
    struct Entry: Decodable { let Layers: [String] }
    let folder = try scratch.folder("archive")
    try await Command(["tar", "--extract", "--file", archive, "--directory", folder]).run()
    let entries = try JSONDecoder().decode(
        [Entry].self, from: Data(contentsOf: URL(filePath: folder + "/manifest.json")))
    return try await sha256(of: entries.flatMap(\.Layers).map { "\(folder)/\($0)" }).map { "sha256:" + $0 }
}

/// Checks stored blobs against their digests, and hashes the layers' tars.
/// - Parameter path: Where the client keeps a blob.
func layerDigests(of manifest: Manifest, path: (Descriptor) -> String) async throws -> [String] {
    let blobs = manifest.blobs
    #expect(try await sha256(of: blobs.map(path)) == blobs.map(\.hex), "stored bytes differ from their digests")
    var digests: [String] = []
    for layer in manifest.layers ?? [] {
        let result = try await Command(["sh", "-ec", "gzip -dc < '\(path(layer))' | sha256sum"]).run()
        digests.append("sha256:" + result.text.prefix(64))
    }
    return digests
}
