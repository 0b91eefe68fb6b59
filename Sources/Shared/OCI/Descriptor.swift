// SPDX-License-Identifier: Apache-2.0

/// A reference to content: media type, digest, size (image-spec, "Content Descriptors").
package struct Descriptor: Sendable, Equatable {
    package let mediaType: String
    package let digest: Digest
    package let sizeBytes: Int64
    package let artifactType: String?
    package let annotations: [String: String]
    /// Where else the content may be found. Kept for show: nothing here ever goes there.
    package let urls: [String]
    /// The content itself, as long as `sizeBytes`. Whether it has the digest is for the caller to check, who can hash.
    package let data: [UInt8]?

    /// The registry need not hold what this names.
    package var isNondistributable: Bool { MediaType.isNondistributable(mediaType) }

    private static let names = JSONFields([
        "mediaType", "digest", "size", "artifactType", "annotations", "urls", "data", "platform",
    ])

    /// - Parameter place: Where the descriptor stands, for the message: `layers[2]`.
    /// - Throws: `MANIFEST_INVALID`.
    init(_ value: JSONValue, at place: String) throws(OCIError) {
        try Self.names.check(value, at: place)
        guard let mediaType = value["mediaType"]?.stringValue, MediaType.isValid(mediaType) else {
            throw .manifestInvalid("\(place).mediaType is missing or no media type")
        }
        guard let digest = value["digest"]?.stringValue.flatMap({ Digest($0) }) else {
            throw .manifestInvalid("\(place).digest is missing or no sha256 or sha512 digest")
        }
        guard let sizeBytes = value["size"]?.integerValue, sizeBytes >= 0 else {
            throw .manifestInvalid("\(place).size is missing or no count of bytes")
        }
        self.mediaType = mediaType
        self.digest = digest
        self.sizeBytes = sizeBytes
        artifactType = try JSONFields.mediaType(value["artifactType"], at: "\(place).artifactType")
        annotations = try JSONFields.annotations(value["annotations"], at: "\(place).annotations")
        urls = try JSONFields.strings(value["urls"], at: "\(place).urls")
        data = try Self.data(value["data"], sizeBytes: sizeBytes, at: "\(place).data")
    }

    private static func data(_ value: JSONValue?, sizeBytes: Int64, at place: String) throws(OCIError) -> [UInt8]? {
        guard let value, value != .null else { return nil }
        guard let bytes = value.stringValue.flatMap({ Base64.decode($0) }), bytes.count == sizeBytes else {
            throw .manifestInvalid("\(place) is not base64 of as many bytes as size says")
        }
        return bytes
    }
}
