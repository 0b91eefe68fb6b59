// SPDX-License-Identifier: Apache-2.0

import Hashing
import OCI

/// A manifest as text, so that tests choose every byte of it.
struct TestManifest: Sendable {
    var mediaType: String
    var bytes: [UInt8]

    init(_ text: String, mediaType: String = MediaType.ociManifest) {
        self.mediaType = mediaType
        bytes = Array(text.utf8)
    }

    var digest: Digest { SHA256.hash(bytes) }

    /// An image of these blobs. White space and an unknown member show whether the bytes are kept.
    static func image(config: TestBlob, layers: [TestBlob]) -> TestManifest {
        let layerTexts = layers.map {
            descriptor($0.digest, sizeBytes: $0.sizeBytes, mediaType: "application/vnd.oci.image.layer.v1.tar")
        }
        return TestManifest(
            """
            {
               "schemaVersion":  2, "mediaType": "\(MediaType.ociManifest)",
               "config": \(descriptor(config.digest, sizeBytes: config.sizeBytes, mediaType: configType)),
               "layers": [\(layerTexts.joined(separator: ",\n"))],\t
               "org.example.unknown": [1.0, 1e3, "\\u00e9"]
            }

            """)
    }

    static func index(of manifests: [(digest: Digest, sizeBytes: Int)]) -> TestManifest {
        let entries = manifests.map { descriptor($0.digest, sizeBytes: $0.sizeBytes, mediaType: MediaType.ociManifest) }
        return TestManifest(
            """
            {"schemaVersion":2,"mediaType":"\(MediaType.ociIndex)","manifests":[\(entries.joined(separator: ","))]}
            """, mediaType: MediaType.ociIndex)
    }

    static let configType = "application/vnd.oci.image.config.v1+json"

    static func descriptor(_ digest: Digest, sizeBytes: Int, mediaType: String) -> String {
        #"{"mediaType":"\#(mediaType)","digest":"\#(digest)","size":\#(sizeBytes)}"#
    }
}
