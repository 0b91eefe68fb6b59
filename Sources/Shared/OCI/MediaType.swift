// SPDX-License-Identifier: Apache-2.0

/// Media types that mean something to a registry; all others are stored and served as they come.
package enum MediaType {
    package static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    package static let ociIndex = "application/vnd.oci.image.index.v1+json"
    package static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    package static let dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
    /// Config of an artifact that has none (image-spec, "Guidance for an Empty Descriptor").
    package static let ociEmpty = "application/vnd.oci.empty.v1+json"

    static let images: Set = [ociManifest, dockerManifest]
    static let indexes: Set = [ociIndex, dockerManifestList]
    static let schema1: Set = [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ]

    /// What a manifest can be pushed as.
    package static let manifests = images.union(indexes)

    /// Layers that registries need not hold: the types that image-spec 1.1 deprecated, and docker's.
    static func isNondistributable(_ mediaType: String) -> Bool {
        mediaType.hasPrefix("application/vnd.oci.image.layer.nondistributable.v1.tar")
            || mediaType.hasPrefix("application/vnd.docker.image.rootfs.foreign.diff.tar")
    }

    /// `type/subtype` (RFC 6838 §4.2), perhaps with parameters in printable ASCII, which some artifact tools send.
    package static func isValid(_ text: String) -> Bool {
        guard text.utf8.count <= 255, text.utf8.allSatisfy({ 0x20...0x7E ~= $0 }) else { return false }
        let names = text.utf8.prefix { $0 != UInt8(ascii: ";") }
            .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return names.count == 2 && names.allSatisfy(isRestrictedName)
    }

    private static func isRestrictedName(_ name: some Collection<UInt8>) -> Bool {
        name.count <= 127 && name.first?.isAlphanumeric == true
            && name.allSatisfy { $0.isAlphanumeric || "!#$&-^_.+".utf8.contains($0) }
    }
}
