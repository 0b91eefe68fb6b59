// SPDX-License-Identifier: Apache-2.0

/// How a manifest uses what it names.
package enum ReferenceKind: String, Sendable, CaseIterable {
    case config
    case layer
    /// A manifest or index named by an index.
    case child
}

/// What the registry has to know of a manifest or index (image-spec, "Image Manifest", "Image Index"; docker's schema
/// 2). Stored and served are the bytes as they were pushed.
///
/// A text that is an image to one reader and an index to another is refused (CVE-2021-41190), and so is one whose media
/// type contradicts the `Content-Type`. Config and layers may have any media type: that is what an artifact is.
package struct ManifestDocument: Sendable {
    package enum Kind: Sendable { case image, index }

    package let kind: Kind
    /// One of `MediaType.manifests`.
    package let mediaType: String
    /// Of an image; an index has none.
    package let config: Descriptor?
    package let layers: [Descriptor]
    package let manifests: [Descriptor]
    package let subject: Descriptor?
    /// As written in the manifest itself.
    package let artifactType: String?
    package let annotations: [String: String]

    private static let fields = JSONFields([
        "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
        "fsLayers", "signatures",
    ])

    /// - Parameters:
    ///   - body: As pushed. The caller has limited its length.
    ///   - contentType: The request's `Content-Type`. Parameters are ignored.
    /// - Throws: `MANIFEST_INVALID`, naming the first fault; `UNSUPPORTED` for docker's schema 1.
    package init(body: [UInt8], contentType: String?) throws(OCIError) {
        let declared = contentType.map(Self.essence)
        if let declared, MediaType.schema1.contains(declared) { throw Self.schema1 }
        let root: JSONValue
        do throws(JSONError) {
            root = try BoundedJSON.parse(body, limits: JSONLimits(bytesMax: body.count))
        } catch {
            throw .manifestInvalid(error.description)
        }
        try Self.fields.check(root, at: "the manifest")
        guard root["fsLayers"] == nil, root["signatures"] == nil else { throw Self.schema1 }
        guard root["schemaVersion"] == .number("2") else { throw .manifestInvalid("schemaVersion is not 2") }

        mediaType = try Self.mediaType(of: root, declared: declared)
        kind = MediaType.indexes.contains(mediaType) ? .index : .image
        switch kind {
        case .image:
            guard root["manifests"] == nil else { throw .manifestInvalid("an image manifest has no manifests") }
            guard let value = root["config"] else { throw .manifestInvalid("config is missing") }
            config = try Descriptor(value, at: "config")
            layers = try JSONFields.descriptors(root["layers"], at: "layers")
            manifests = []
        case .index:
            guard root["config"] == nil, root["layers"] == nil else {
                throw .manifestInvalid("an index has neither config nor layers")
            }
            config = nil
            layers = []
            manifests = try JSONFields.descriptors(root["manifests"], at: "manifests")
        }
        if let value = root["subject"], value != .null {
            subject = try Descriptor(value, at: "subject")
        } else {
            subject = nil
        }
        artifactType = try JSONFields.mediaType(root["artifactType"], at: "artifactType")
        annotations = try JSONFields.annotations(root["annotations"], at: "annotations")
    }

    /// Everything that the manifest needs to be pulled. Its subject is not among it.
    ///
    /// An entry of an index whose media type is that of no manifest names a blob: that is how BuildKit's cache lists
    /// its layers.
    package var references: [(ReferenceKind, Descriptor)] {
        var references: [(ReferenceKind, Descriptor)] = []
        if let config { references.append((.config, config)) }
        references += layers.map { (.layer, $0) }
        references += manifests.map { (MediaType.manifests.contains($0.mediaType) ? .child : .layer, $0) }
        return references
    }

    /// Descriptors that bring their content along. It has to have the digest: the caller checks that before it stores
    /// the manifest.
    package var descriptorsWithData: [Descriptor] {
        (references.map(\.1) + (subject.map { [$0] } ?? [])).filter { $0.data != nil }
    }

    private static let schema1 = OCIError(code: .unsupported, message: "docker schema 1 manifests are not supported")

    /// A media type without its parameters, in lower case (RFC 9110 §8.3.1).
    private static func essence(of contentType: String) -> String {
        contentType.prefix { $0 != ";" && $0 != " " }.lowercased()
    }

    /// The media type in the text and the one in the header: one may be missing, and both have to agree.
    private static func mediaType(of root: JSONValue, declared: String?) throws(OCIError) -> String {
        let own = try JSONFields.mediaType(root["mediaType"], at: "mediaType")
        if let own, MediaType.schema1.contains(own) { throw schema1 }
        if let own, let declared, own != declared {
            throw .manifestInvalid("mediaType and Content-Type differ")
        }
        guard let mediaType = own ?? declared else {
            throw .manifestInvalid("neither mediaType nor Content-Type says what this is")
        }
        guard MediaType.manifests.contains(mediaType) else {
            throw .manifestInvalid("the media type is that of no manifest or index")
        }
        return mediaType
    }
}
