// SPDX-License-Identifier: Apache-2.0

package import OCI

/// Digests and manifests whose content does not matter.
package enum Fixture {
    /// The sha256 digest whose hex begins with `number`; digests sort as their numbers do.
    package static func digest(_ number: Int) -> Digest {
        let hex = String(number, radix: 16)
        let padded = String(repeating: "0", count: 8 - hex.count) + hex + String(repeating: "0", count: 56)
        guard let digest = Digest(algorithm: .sha256, hex: padded) else { preconditionFailure("no digest: \(padded)") }
        return digest
    }

    /// An image manifest with a config and layers of one byte each.
    package static func image(config: Digest, layers: [Digest], subject: Digest? = nil) -> [UInt8] {
        let layers = layers.map { descriptor("application/vnd.oci.image.layer.v1.tar", $0) }.joined(separator: ",")
        let subject = subject.map { #","subject":"# + descriptor(MediaType.ociManifest, $0) } ?? ""
        return Array(
            (#"{"schemaVersion":2,"mediaType":"\#(MediaType.ociManifest)","config":"#
                + descriptor("application/vnd.oci.image.config.v1+json", config)
                + #","layers":["# + layers + "]" + subject + "}").utf8)
    }

    /// An image index of manifests of one byte each.
    package static func index(children: [Digest]) -> [UInt8] {
        let children = children.map { descriptor(MediaType.ociManifest, $0) }.joined(separator: ",")
        return Array(
            #"{"schemaVersion":2,"mediaType":"\#(MediaType.ociIndex)","manifests":[\#(children)]}"#.utf8)
    }

    private static func descriptor(_ mediaType: String, _ digest: Digest) -> String {
        #"{"mediaType":"\#(mediaType)","digest":"\#(digest)","size":1}"#
    }
}
