// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport

/// docker with a daemon of its own: own data, own socket, no network set-up, next to whatever docker the machine runs.
final class Docker: Client {
    private let daemon: RunningCommand
    private let socket: String
    private let client: [String]

    private init(daemon: RunningCommand, socket: String, configuration: String) {
        self.daemon = daemon
        self.socket = socket
        client = ["docker", "--config", configuration, "--host", socket]
    }

    /// The same daemon, asked with the credentials of another folder's `config.json`.
    func asked(with configuration: String) -> Docker {
        Docker(daemon: daemon, socket: socket, configuration: configuration)
    }

    /// - Parameters:
    ///   - configuration: Folder with a `config.json` that holds the credential.
    ///   - runner: A command that runs the daemon, such as `unshare --mount`.
    init(_ scratch: ScratchDirectory, configuration: String, runner: [String] = []) async throws {
        let home = try scratch.folder("docker")
        socket = "unix://\(home)/socket"
        client = ["docker", "--config", configuration, "--host", socket]
        daemon = try Command(
            runner + [
                "dockerd", "--host", socket, "--data-root", home + "/data", "--exec-root", home + "/exec",
                "--pidfile", home + "/pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
                "--storage-driver=vfs", "--max-concurrent-downloads=3",
            ], limit: .seconds(3600)
        ).start()
        let daemon = daemon
        let ask = client + ["version"]
        try await waitUntil("dockerd answers", within: .seconds(60), every: .milliseconds(200)) {
            guard daemon.isRunning else {
                throw CommandFailure(command: "dockerd", result: try await daemon.result())
            }
            return try await Command(ask).result().status == 0
        }
    }

    func stop() async { _ = try? await daemon.stop() }

    func push(_ layout: Layout, _ name: String, to reference: String) async throws {
        let scratch = try ScratchDirectory("docker-load")
        let archive = scratch.path("image.tar")
        try await Command(["skopeo", "copy", "oci:\(layout.path):\(name)", "docker-archive:\(archive):\(reference)"])
            .run()
        try await run("load", "--input", archive)
        try await run("push", reference)
        try await forget()
    }

    func pull(_ reference: String) async throws -> [String] {
        try await forget()
        try await run("pull", reference)
        return try await layers(of: reference)
    }

    /// Starts a pull and returns while it runs.
    func startPull(_ reference: String) async throws -> RunningCommand {
        try await forget()
        return try Command(client + ["pull", reference], limit: .seconds(300)).start()
    }

    /// The SHA-256 of each layer's tar as the daemon holds it.
    func layers(of reference: String) async throws -> [String] {
        let scratch = try ScratchDirectory("docker-save")
        try await run("save", "--output", scratch.path("image.tar"), reference)
        return try await layerDigests(ofArchive: scratch.path("image.tar"), below: scratch)
    }

    private func forget() async throws {
        try await run("system", "prune", "--all", "--force")
    }

    func run(_ arguments: String...) async throws {
        try await Command(client + arguments, limit: .seconds(300)).run()
    }

    /// For what may fail.
    func result(_ arguments: String...) async throws -> CommandResult {
        try await Command(client + arguments, limit: .seconds(300)).result()
    }
}
