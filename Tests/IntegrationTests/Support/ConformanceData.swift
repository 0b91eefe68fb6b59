// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI

/// Blobs and manifests that belong together, as the public conformance suite of the distribution-spec puts them
/// together. The two lists are what a client pushes; a descriptor may name what is on neither.
///
/// Layers are random bytes, whatever their media type: a registry does not look into them.
struct ConformanceData: Sendable {
    struct Manifest: Sendable {
        let mediaType: String
        let content: TestBlob
        let subject: Digest?
        /// As the list of its subject's referrers has to show it.
        let artifactType: String?
        let annotations: [String: String]
        var tags: [String]
    }

    /// What images and indexes may have alike.
    struct Extras: Sendable {
        var tags: [String] = []
        var artifactType: String?
        var annotations: [String: String] = [:]
        /// A descriptor.
        var subject: JSONValue?
    }

    /// Of every digest.
    let algorithm: DigestAlgorithm
    /// Whether descriptors bring their content along, in the field `data`.
    var hasData = false
    /// Whether configs, manifests and indexes have a field that no specification knows.
    var hasUnknownFields = false
    /// Whether a push by digest names its tags in the query. Otherwise there is one more push for each tag.
    private(set) var tagsWithDigest = false

    /// Each once.
    private(set) var blobs: [TestBlob] = []
    /// Children come before their index, and subjects before their referrers.
    private(set) var manifests: [Manifest] = []

    init(algorithm: DigestAlgorithm = .sha256) {
        self.algorithm = algorithm
    }

    /// In the order of their bytes.
    var sortedTags: [String] { manifests.flatMap(\.tags).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } }

    var subjects: Set<Digest> { Set(manifests.compactMap(\.subject)) }

    // MARK: Blobs

    /// - Parameter more: Behind the usual members.
    func descriptor(
        of content: TestBlob, mediaType: String, _ more: KeyValuePairs<String, JSONValue?> = [:]
    ) -> JSONValue {
        .members([
            "mediaType": .string(mediaType),
            "digest": .string("\(content.digest)"),
            "size": .number("\(content.sizeBytes)"),
            "data": hasData ? .string(Data(content.bytes).base64EncodedString()) : nil,
        ]).with(more)
    }

    mutating func blob(_ bytes: [UInt8], mediaType: String) -> JSONValue {
        let content = TestBlob(bytes: bytes, algorithm: algorithm)
        if !blobs.contains(where: { $0.digest == content.digest }) { blobs.append(content) }
        return descriptor(of: content, mediaType: mediaType)
    }

    mutating func layers(_ count: Int = 2, mediaType: String = Self.compressedLayer) -> [JSONValue] {
        (0..<count).map { _ in blob(TestBlob.random(2048), mediaType: mediaType) }
    }

    mutating func config(architecture: String = "amd64", layers: [JSONValue]) -> JSONValue {
        let config = JSONValue.members([
            "author": .string("conformance"),
            "architecture": .string(architecture),
            "os": .string("linux"),
            "rootfs": .members([
                "type": .string("layers"), "diff_ids": .array(layers.compactMap { $0["digest"] }),
            ]),
        ]).with(unknownFields)
        return blob(config.encode(), mediaType: TestManifest.configType)
    }

    private var unknownFields: KeyValuePairs<String, JSONValue?> {
        guard hasUnknownFields else { return [:] }
        return [
            "org.example.\(Self.unique())": .string(Self.unique()),
            "Unknown": .array([.number("1.0"), .number("1e3"), .null, .members(["": .bool(true)])]),
        ]
    }

    // MARK: Manifests

    mutating func image(config: JSONValue, layers: [JSONValue], _ extras: Extras = Extras()) -> JSONValue {
        let text = JSONValue.members([
            "schemaVersion": .number("2"),
            "mediaType": .string(MediaType.ociManifest),
            "artifactType": extras.artifactType.map { .string($0) },
            "config": config,
            "layers": .array(layers),
        ])
        return add(
            text, mediaType: MediaType.ociManifest, extras,
            listedType: extras.artifactType ?? config["mediaType"]?.stringValue)
    }

    mutating func image(
        layerCount: Int = 2, layerType: String = Self.compressedLayer, architecture: String = "amd64",
        _ extras: Extras = Extras()
    ) -> JSONValue {
        let layers = layers(layerCount, mediaType: layerType)
        return image(config: config(architecture: architecture, layers: layers), layers: layers, extras)
    }

    /// An image without a config, and with one layer.
    mutating func artifact(layerType: String = Self.exampleType, _ extras: Extras) -> JSONValue {
        let config = blob(Array("{}".utf8), mediaType: MediaType.ociEmpty)
        return image(config: config, layers: layers(1, mediaType: layerType), extras)
    }

    mutating func index(of children: [JSONValue], _ extras: Extras = Extras()) -> JSONValue {
        let text = JSONValue.members([
            "schemaVersion": .number("2"),
            "mediaType": .string(MediaType.ociIndex),
            "artifactType": extras.artifactType.map { .string($0) },
            "manifests": .array(children),
        ])
        return add(text, mediaType: MediaType.ociIndex, extras, listedType: extras.artifactType)
    }

    /// One image for each of two platforms, as an index names them.
    mutating func platformImages() -> [JSONValue] {
        ["amd64", "arm64"].map { image(architecture: $0).with(["platform": Self.platform($0)]) }
    }

    static func platform(_ architecture: String) -> JSONValue {
        .members(["architecture": .string(architecture), "os": .string("linux")])
    }

    /// Gives each manifest a tag of its own, and the last one another; a push by digest names them in its query.
    mutating func tagAll(_ name: String) {
        for position in manifests.indices { manifests[position].tags = ["\(name)-\(position)"] }
        manifests[manifests.count - 1].tags.append(name)
        tagsWithDigest = true
    }

    private mutating func add(
        _ beginning: JSONValue, mediaType: String, _ extras: Extras, listedType: String?
    ) -> JSONValue {
        let annotations = extras.annotations.sorted { $0.key < $1.key }.map {
            JSONMember(name: $0.key, value: .string($0.value))
        }
        let text = beginning.with([
            "subject": extras.subject, "annotations": annotations.isEmpty ? nil : .object(annotations),
        ]).with(unknownFields)
        let content = TestBlob(bytes: text.encode(), algorithm: algorithm)
        manifests.append(
            Manifest(
                mediaType: mediaType,
                content: content,
                subject: extras.subject?["digest"]?.stringValue.flatMap { Digest($0) },
                artifactType: listedType,
                annotations: extras.annotations,
                tags: extras.tags))
        return descriptor(of: content, mediaType: mediaType)
    }

    // MARK: Words

    static let layer = "application/vnd.oci.image.layer.v1.tar"
    static let compressedLayer = "\(layer)+gzip"
    static let foreignLayer = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    static let exampleType = "application/vnd.example.conformance.v1"
    static let otherType = "application/vnd.example.conformance.v2+json"

    /// Two annotations: one that all have, and one that none other has.
    static func greeting() -> [String: String] {
        ["org.example.greeting": "\"hello\" \u{E9}, conformance", "org.example.\(unique())": unique()]
    }

    static func unique() -> String { String(TestBlob(sizeBytes: 8).digest.hex.prefix(16)) }
}

extension JSONValue {
    /// An object; members that are nil are left out.
    fileprivate static func members(_ members: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object(members.compactMap { name, value in value.map { JSONMember(name: name, value: $0) } })
    }

    /// The object with more members.
    func with(_ more: KeyValuePairs<String, JSONValue?>) -> JSONValue {
        .object((objectValue ?? []) + (JSONValue.members(more).objectValue ?? []))
    }
}
