// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// Copies between layouts and registries, byte for byte.
struct Skopeo: Client {
    let authFile: String
    /// As for `Podman`.
    var certificates: String?

    func push(_ layout: Layout, _ name: String, to reference: String) async throws {
        let trust = certificates.map { "--dest-cert-dir=\($0)" } ?? "--dest-tls-verify=false"
        try await copy("oci:\(layout.path):\(name)", "docker://\(reference)", trust)
    }

    func pull(_ reference: String) async throws -> [String] {
        let scratch = try ScratchDirectory("skopeo")
        let trust = certificates.map { "--src-cert-dir=\($0)" } ?? "--src-tls-verify=false"
        try await copy("docker://\(reference)", "oci:\(scratch.path):pulled", trust)
        func path(_ blob: Descriptor) -> String { scratch.path("blobs/sha256/\(blob.hex)") }
        func manifest(_ file: String) throws -> Manifest {
            try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: URL(filePath: file)))
        }
        let entry = try #require(try manifest(scratch.path("index.json")).manifests?.first)
        var pulled = try manifest(path(entry))
        if let entries = pulled.manifests {
            #expect(try await sha256(of: entries.map(path)) == entries.map(\.hex), "not all platforms came")
            pulled = try manifest(
                path(try #require(entries.first { $0.platform?.architecture == Layout.architecture })))
        }
        return try await layerDigests(of: pulled, path: path)
    }

    /// Copies all platforms from anywhere to anywhere.
    func copy(
        _ source: String, _ destination: String, _ options: String..., limit: Duration = .seconds(300)
    ) async throws {
        let command = ["skopeo", "copy", "--all", "--quiet", "--authfile", authFile]
        try await Command(command + options + [source, destination], limit: limit).run()
    }
}

/// podman, as root or rootless, with stores of its own.
struct Podman: Client {
    let authFile: String
    /// Folder with the `ca.crt` to trust; `nil` for plain HTTP.
    var certificates: String?

    func push(_ layout: Layout, _ name: String, to reference: String) async throws {
        try await ContainersStore("podman", certificates).push(layout, name, to: reference, authFile: authFile)
    }

    func pull(_ reference: String) async throws -> [String] {
        let (pull, layers) = try startPull(reference)
        let result = try await pull.result()
        guard result.status == 0 else { throw CommandFailure(command: "podman pull", result: result) }
        return try await layers()
    }

    /// Starts a pull and returns while it runs.
    /// - Returns: And what reads back the layers after a good end.
    func startPull(_ reference: String) throws -> (RunningCommand, layers: () async throws -> [String]) {
        let store = try ContainersStore("podman", certificates)
        let pull = try store.command("pull", "--authfile", authFile, store.trust, reference).start()
        return (
            pull,
            {
                let archive = store.scratch.path("saved.tar")
                try await store.run("save", "--format", "docker-archive", "--output", archive, reference)
                return try await layerDigests(ofArchive: archive, below: store.scratch)
            }
        )
    }
}

/// buildah, with stores of its own.
struct Buildah: Client {
    let authFile: String
    /// As for `Podman`.
    var certificates: String?

    func push(_ layout: Layout, _ name: String, to reference: String) async throws {
        try await ContainersStore("buildah", certificates).push(layout, name, to: reference, authFile: authFile)
    }

    func pull(_ reference: String) async throws -> [String] {
        let store = try ContainersStore("buildah", certificates)
        try await store.run("pull", "--authfile", authFile, store.trust, reference)
        let archive = store.scratch.path("saved.tar")
        try await store.run("push", reference, "docker-archive:\(archive)")
        return try await layerDigests(ofArchive: archive, below: store.scratch)
    }
}

/// A store of podman's and buildah's common kind. It ends with its last reference.
private struct ContainersStore {
    let scratch: ScratchDirectory
    /// Option for calls to the registry.
    let trust: String
    private let program: [String]

    init(_ program: String, _ certificates: String?) throws {
        trust = certificates.map { "--cert-dir=\($0)" } ?? "--tls-verify=false"
        scratch = try ScratchDirectory(program)
        // vfs works on every file system and in every container.
        self.program = [
            program, "--root", scratch.path("root"), "--runroot", scratch.path("run"), "--storage-driver", "vfs",
        ]
    }

    func run(_ arguments: String...) async throws { try await command(arguments).run() }

    func command(_ arguments: String...) -> Command { command(arguments) }

    private func command(_ arguments: [String]) -> Command { Command(program + arguments, limit: .seconds(300)) }

    func push(_ layout: Layout, _ name: String, to reference: String, authFile: String) async throws {
        let indexed = try layout.platforms(of: name)
        guard !indexed.isEmpty else {
            try await Command(["skopeo", "copy", "oci:\(layout.path):\(name)", storeReference(reference)]).run()
            return try await run("push", "--authfile", authFile, trust, reference)
        }
        try await run("manifest", "create", reference)
        for platform in indexed {
            try await run("manifest", "add", reference, "oci:\(layout.path):\(platform)")
        }
        try await run(
            "manifest", "push", "--all", "--authfile", authFile, trust, reference,
            "docker://\(reference)")
    }

    /// How skopeo names an image in this store.
    private func storeReference(_ reference: String) -> String {
        "containers-storage:[vfs@\(scratch.path("root"))+\(scratch.path("run"))]\(reference)"
    }
}
