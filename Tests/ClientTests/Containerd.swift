// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// containerd of its own, driven by `ctr`.
final class Containerd: Client {
    private let daemon: RunningCommand
    private let socket: String
    private let remote: [String]

    /// - Parameters:
    ///   - user: `name:password` at the registry.
    ///   - secure: A registry that speaks https, and the PEM file of the authority to trust; `nil` for plain HTTP.
    init(
        _ scratch: ScratchDirectory, user: String, secure: (registry: String, authority: String)? = nil
    ) async throws {
        let home = try scratch.folder("containerd")
        socket = home + "/socket"
        if let secure {
            let hosts = try Self.hosts(below: scratch, "hosts", secure.registry, trusting: secure.authority)
            remote = ["--hosts-dir", hosts, "--user", user]
        } else {
            remote = ["--plain-http", "--user", user]
        }
        // Isolated: a pull into a new namespace fetches everything, whatever other namespaces hold.
        let configuration = """
            version = 2
            root = "\(home)/root"
            state = "\(home)/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri"]
            [grpc]
              address = "\(socket)"
            [plugins."io.containerd.metadata.v1.bolt"]
              content_sharing_policy = "isolated"
            """
        try Data(configuration.utf8).write(to: URL(filePath: home + "/config.toml"))
        daemon = try Command(["containerd", "--config", home + "/config.toml"], limit: .seconds(3600)).start()
        let daemon = daemon
        let ask = ["ctr", "--address", socket, "version"]
        try await waitUntil("containerd answers", within: .seconds(60), every: .milliseconds(200)) {
            guard daemon.isRunning else {
                throw CommandFailure(command: "containerd", result: try await daemon.result())
            }
            return try await Command(ask).result().status == 0
        }
    }

    func stop() async { _ = try? await daemon.stop() }

    func push(_ layout: Layout, _ name: String, to reference: String) async throws {
        let scratch = try ScratchDirectory("ctr-import")
        let archive = scratch.path("layout.tar")
        try await Command(
            ["tar", "--create", "--file", archive, "--directory", layout.path, "."], limit: .seconds(600)
        ).run()
        let namespace = Namespace(self)
        try await namespace.run(
            "images", "import", "--no-unpack", "--all-platforms", "--base-name", "local/image", archive)
        try await namespace.run(["images", "push"] + remote + [reference, "local/image:\(name)"])
    }

    func pull(_ reference: String) async throws -> [String] {
        let namespace = Namespace(self)
        try await namespace.run(pullArguments(reference))
        return try await namespace.layers(of: reference)
    }

    /// Starts a pull and returns while it runs, with the namespace it pulls into.
    func startPull(_ reference: String) throws -> (RunningCommand, Namespace) {
        let namespace = Namespace(self)
        return (try namespace.command(pullArguments(reference)).start(), namespace)
    }

    /// Fetches without unpacking, as for artifacts, and returns the namespace that has the content.
    func fetch(_ reference: String) async throws -> Namespace {
        let namespace = Namespace(self)
        try await namespace.run(["content", "fetch", "--all-platforms"] + remote + [reference])
        return namespace
    }

    /// A pull that trusts another authority.
    func fetchCommand(
        _ reference: String, from registry: String, trusting authority: String, _ scratch: ScratchDirectory
    ) throws -> [String] {
        let hosts = try Self.hosts(below: scratch, "stranger-hosts", registry, trusting: authority)
        return [
            "ctr", "--address", socket, "--namespace", "stranger", "content", "fetch", "--hosts-dir", hosts, reference,
        ]
    }

    /// On the loopback `ctr` speaks plain HTTP, unless a file of its own tells it otherwise.
    private static func hosts(
        below scratch: ScratchDirectory, _ name: String, _ registry: String, trusting authority: String
    ) throws -> String {
        let folder = try scratch.folder("\(name)/\(registry)")
        let text = """
            server = "https://\(registry)"
            [host."https://\(registry)"]
              ca = "\(authority)"
            """
        try Data(text.utf8).write(to: URL(filePath: folder + "/hosts.toml"))
        return scratch.path(name)
    }

    private func pullArguments(_ reference: String) -> [String] {
        ["images", "pull", "--snapshotter", "native"] + remote + [reference]
    }

    /// A place in containerd that shares nothing with others.
    struct Namespace {
        private let client: [String]

        fileprivate init(_ containerd: Containerd) {
            let name = "n" + UUID().uuidString.prefix(8).lowercased()
            client = ["ctr", "--address", containerd.socket, "--namespace", name]
        }

        fileprivate func command(_ arguments: [String]) -> Command {
            Command(client + arguments, limit: .seconds(300))
        }

        @discardableResult
        func run(_ arguments: [String]) async throws -> CommandResult { try await command(arguments).run() }

        @discardableResult
        func run(_ arguments: String...) async throws -> CommandResult { try await run(arguments) }

        func content(_ digest: String) async throws -> Data { try await run("content", "get", digest).output }

        /// The digest that an image's name stands for.
        func target(of reference: String) async throws -> String {
            let listed = try await run("images", "list", "name==\(reference)").text.split(separator: "\n").dropFirst()
            let words = try #require(listed.first, "ctr has no \(reference)").split(separator: " ")
            return String(try #require(words.first { $0.hasPrefix("sha256:") }))
        }

        /// The SHA-256 of each layer's tar of the image for this machine.
        func layers(of reference: String) async throws -> [String] {
            var manifest = try await self.manifest(try await target(of: reference))
            if let entries = manifest.manifests {
                let entry = try #require(entries.first { $0.platform?.architecture == Layout.architecture })
                manifest = try await self.manifest(entry.digest)
            }
            let scratch = try ScratchDirectory("ctr-content")
            for blob in manifest.blobs {
                try await content(blob.digest).write(to: scratch.url(blob.hex))
            }
            return try await layerDigests(of: manifest) { scratch.path($0.hex) }
        }

        private func manifest(_ digest: String) async throws -> Manifest {
            try JSONDecoder().decode(Manifest.self, from: try await content(digest))
        }
    }
}
