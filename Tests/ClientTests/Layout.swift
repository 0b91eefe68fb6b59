// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport

/// Points at a blob, as manifests do.
struct Descriptor: Codable, Sendable, Equatable {
    struct Platform: Codable, Sendable, Equatable {
        let architecture: String
        let os: String
    }

    var mediaType: String
    var digest: String
    var size: Int
    var platform: Platform? = nil
    var annotations: [String: String]? = nil

    var hex: String { String(digest.dropFirst("sha256:".count)) }
}

/// An image manifest or an index, as far as tests look at it.
struct Manifest: Codable, Sendable {
    var schemaVersion = 2
    var mediaType: String? = nil
    var artifactType: String? = nil
    var config: Descriptor? = nil
    var layers: [Descriptor]? = nil
    var manifests: [Descriptor]? = nil

    /// Config and layers.
    var blobs: [Descriptor] { (config.map { [$0] } ?? []) + (layers ?? []) }
}

enum MediaType {
    static let image = "application/vnd.oci.image.manifest.v1+json"
    static let index = "application/vnd.oci.image.index.v1+json"
    static let config = "application/vnd.oci.image.config.v1+json"
    static let layer = "application/vnd.oci.image.layer.v1.tar+gzip"
    static let dockerImage = "application/vnd.docker.distribution.manifest.v2+json"
    static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// An OCI layout on disk, from which clients push: random content, so that nothing compresses or repeats.
final class Layout: Sendable {
    /// The architecture that clients of this machine choose from an index.
    static let architecture: String = {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }()
    static let otherArchitecture = architecture == "amd64" ? "arm64" : "amd64"

    /// Makes `layer.tar.gz` without compressing: nobody compresses random content, and gzip(1) takes half a minute to
    /// find that out for 1 GiB.
    private static let store = """
        import gzip, shutil, sys
        with open(sys.argv[1], "rb") as tar, gzip.GzipFile(sys.argv[1] + ".gz", "wb", 0, mtime=0) as packed:
            shutil.copyfileobj(tar, packed, 1 << 20)
        """

    private let scratch: ScratchDirectory

    init() throws {
        scratch = try ScratchDirectory("layout")
        try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
        try Data(#"{"imageLayoutVersion":"1.0.0"}"#.utf8).write(to: scratch.url("oci-layout"))
    }

    var path: String { scratch.path }

    private var blobs: String { scratch.path("blobs/sha256") }

    func blobPath(_ descriptor: Descriptor) -> String { "\(blobs)/\(descriptor.hex)" }

    /// Writes `index.json`. Each entry gets its key as name, by which clients choose it: `oci:PATH:NAME`.
    func finish(_ entries: [String: Descriptor]) throws {
        let named = entries.sorted { $0.key < $1.key }.map { name, descriptor in
            var descriptor = descriptor
            descriptor.annotations = ["org.opencontainers.image.ref.name": name]
            return descriptor
        }
        try encode(Manifest(manifests: named)).write(to: scratch.url("index.json"))
    }

    /// Names of the entries that hold the images of the index `name`: `name-architecture`. Empty for an image.
    func platforms(of name: String) throws -> [String] {
        let index = try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: scratch.url("index.json")))
        let names = (index.manifests ?? []).compactMap { $0.annotations?["org.opencontainers.image.ref.name"] }
        return names.filter { $0.hasPrefix(name + "-") }
    }

    /// Adds an image of gzip layers with this much random content each.
    /// - Returns: Its manifest's descriptor, and the SHA-256 of each layer's tar.
    func addImage(
        layerBytes: [Int], architecture: String = architecture
    ) async throws -> (Descriptor, diffIDs: [String]) {
        var layers: [Descriptor] = []
        var diffIDs: [String] = []
        for (number, size) in layerBytes.enumerated() {
            let work = try ScratchDirectory("layer")
            let script = """
                head -c \(size) /dev/urandom > layer-\(number)
                tar --create --file layer.tar --owner=0 --group=0 --mtime=@0 layer-\(number)
                sha256sum layer.tar
                python3 -c '\(Self.store)' layer.tar
                """
            let result = try await Command(["sh", "-ec", script], in: work.path, limit: .seconds(600)).run()
            diffIDs.append("sha256:" + result.text.prefix(64))
            layers.append(try await addFile(work.path("layer.tar.gz"), mediaType: MediaType.layer))
        }
        struct Config: Encodable {
            struct Root: Encodable {
                let type = "layers"
                let diff_ids: [String]
            }
            let architecture: String
            let os = "linux"
            let rootfs: Root
        }
        let config = try await add(
            encode(Config(architecture: architecture, rootfs: .init(diff_ids: diffIDs))), mediaType: MediaType.config)
        let manifest = Manifest(mediaType: MediaType.image, config: config, layers: layers)
        return (try await add(encode(manifest), mediaType: MediaType.image), diffIDs)
    }

    /// Adds an image for each of two platforms and an index of both.
    func addIndex(
        layerBytes: [Int]
    ) async throws -> (index: Descriptor, images: [String: (Descriptor, diffIDs: [String])]) {
        var images: [String: (Descriptor, diffIDs: [String])] = [:]
        var entries: [Descriptor] = []
        for architecture in [Self.architecture, Self.otherArchitecture] {
            let image = try await addImage(layerBytes: layerBytes, architecture: architecture)
            images[architecture] = image
            var entry = image.0
            entry.platform = .init(architecture: architecture, os: "linux")
            entries.append(entry)
        }
        let index = Manifest(mediaType: MediaType.index, manifests: entries)
        return (try await add(encode(index), mediaType: MediaType.index), images)
    }

    /// Adds an artifact of types of its own: one file as its only layer.
    func addArtifact(file: String) async throws -> (manifest: Descriptor, layer: Descriptor) {
        let config = try await add(Data("{}".utf8), mediaType: "application/vnd.example.model.config.v1+json")
        var layer = try await addFile(file, mediaType: "application/vnd.example.model.weights")
        layer.annotations = ["org.opencontainers.image.title": "weights"]
        let manifest = Manifest(
            mediaType: MediaType.image, artifactType: "application/vnd.example.model", config: config, layers: [layer])
        return (try await add(encode(manifest), mediaType: MediaType.image), layer)
    }

    /// Moves a file into the layout.
    private func addFile(_ file: String, mediaType: String) async throws -> Descriptor {
        let hex = try await sha256(of: [file])[0]
        let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
        try FileManager.default.moveItem(atPath: file, toPath: "\(blobs)/\(hex)")
        return Descriptor(mediaType: mediaType, digest: "sha256:\(hex)", size: size)
    }

    private func add(_ data: Data, mediaType: String) async throws -> Descriptor {
        try data.write(to: scratch.url("new"))
        return try await addFile(scratch.path("new"), mediaType: mediaType)
    }
}

private func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
}

/// SHA-256 of files in hex, by coreutils: not by the code under test.
func sha256(of files: [String]) async throws -> [String] {
    guard !files.isEmpty else { return [] }
    let result = try await Command(["sha256sum"] + files, limit: .seconds(600)).run()
    return result.text.split(separator: "\n").map { String($0.prefix(64)) }
}
