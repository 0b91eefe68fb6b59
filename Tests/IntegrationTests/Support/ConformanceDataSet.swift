// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

/// What the public conformance suite pushes, lists, pulls and deletes.
enum ConformanceDataSet: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case image = "an image of two layers"
    case uncompressed = "an image with layers that are not compressed"
    case largeManifest = "an image with 3.9 MB of annotations"
    case index = "an index of two platforms"
    case nestedIndex = "an index of two indexes"
    case emptyIndex = "an index of nothing"
    case artifact = "an artifact with an empty config and one layer"
    case artifactIndex = "an index of artifacts"
    case emptyArtifact = "an artifact whose only layer is the blob of its empty config"
    case referrers = "an image with three referrers"
    case indexReferrers = "an index with referrers that are indexes too"
    case missingSubject = "an artifact whose subject does not exist"
    case dataField = "descriptors that all bring their content along"
    case foreignLayers = "layers that are not pushed, but to be had elsewhere"
    case unknownFields = "fields in index, manifests and configs that no specification knows"
    case noLayers = "an image without layers"
    case sparseImage = "an image of which one layer is missing"
    case sparseIndex = "an index of which one manifest is missing"
    case sha512 = "an index, images and blobs under SHA-512"
    case tagsInQuery = "tags that come with the digest"
    case tagsInQuerySHA512 = "tags that come with the digest, under SHA-512"

    var testDescription: String { rawValue }

    /// Two, because their order by bytes is not the one that people would put them into.
    private var tagged: ConformanceData.Extras {
        ConformanceData.Extras(tags: ["\(self)", "\(self)".uppercased()])
    }

    /// Another one with each call: no two share a blob, except those that stand for nothing.
    func assembled() -> ConformanceData {
        switch self {
        case .image, .uncompressed, .largeManifest, .dataField, .foreignLayers, .noLayers, .sparseImage: images()
        case .index, .nestedIndex, .emptyIndex, .unknownFields, .sparseIndex: indexes()
        case .artifact, .artifactIndex, .emptyArtifact: artifacts()
        case .referrers, .indexReferrers, .missingSubject: withSubjects()
        case .sha512, .tagsInQuery, .tagsInQuerySHA512: withDigestsAndTags()
        }
    }

    private func images() -> ConformanceData {
        var data = ConformanceData()
        switch self {
        case .uncompressed:
            _ = data.image(layerType: ConformanceData.layer, tagged)
        case .largeManifest:
            var extras = tagged
            for number in 0..<390 {
                extras.annotations["org.example.large-\(number)"] = String(repeating: "A", count: 10_000)
            }
            _ = data.image(extras)
        case .dataField:
            data.hasData = true
            let image = data.image(tagged)
            _ = data.index(of: [image], ConformanceData.Extras(tags: ["data-index"]))
        case .foreignLayers:
            let foreign = ["+gzip", ""].map { suffix in
                let content = TestBlob(sizeBytes: 100)
                let url = "https://store.example.com/blobs/sha256/\(content.digest.hex)"
                return data.descriptor(
                    of: content, mediaType: ConformanceData.foreignLayer + suffix, ["urls": .array([.string(url)])])
            }
            let layers = foreign + data.layers(1)
            _ = data.image(config: data.config(layers: layers), layers: layers, tagged)
        case .noLayers:
            _ = data.image(layerCount: 0, tagged)
        case .sparseImage:
            let missing = data.descriptor(of: TestBlob(sizeBytes: 100), mediaType: ConformanceData.compressedLayer)
            let layers = data.layers(1) + [missing]
            _ = data.image(config: data.config(layers: layers), layers: layers, tagged)
        default:
            _ = data.image(tagged)
        }
        return data
    }

    private func indexes() -> ConformanceData {
        var data = ConformanceData()
        switch self {
        case .nestedIndex:
            let inner = (0..<2).map { _ in data.index(of: data.platformImages()) }
            _ = data.index(of: inner, tagged)
        case .emptyIndex:
            _ = data.index(of: [], tagged)
        case .sparseIndex:
            let missing = data.descriptor(
                of: TestBlob(sizeBytes: 1024), mediaType: MediaType.ociManifest,
                ["platform": ConformanceData.platform("arm64")])
            let present = data.image().with(["platform": ConformanceData.platform("amd64")])
            _ = data.index(of: [present, missing], tagged)
        default:
            data.hasUnknownFields = self == .unknownFields
            _ = data.index(of: data.platformImages(), tagged)
        }
        return data
    }

    private func artifacts() -> ConformanceData {
        var data = ConformanceData()
        var extras = tagged
        extras.artifactType = ConformanceData.exampleType
        switch self {
        case .artifactIndex:
            let child = ConformanceData.Extras(artifactType: ConformanceData.exampleType)
            let children = ["amd64", "arm64"].map {
                data.artifact(child).with(["platform": ConformanceData.platform($0)])
            }
            _ = data.index(of: children, extras)
        case .emptyArtifact:
            let empty = data.blob(Array("{}".utf8), mediaType: MediaType.ociEmpty)
            _ = data.image(config: empty, layers: [empty], extras)
        default:
            _ = data.artifact(extras)
        }
        return data
    }

    private func withSubjects() -> ConformanceData {
        var data = ConformanceData()
        func typed(_ type: String, _ subject: JSONValue, tags: String...) -> ConformanceData.Extras {
            ConformanceData.Extras(
                tags: tags, artifactType: type, annotations: ConformanceData.greeting(), subject: subject)
        }
        switch self {
        case .indexReferrers:
            let subject = data.index(of: data.platformImages(), tagged)
            let children = (0..<2).map { _ in data.artifact(typed(ConformanceData.exampleType, subject)) }
            _ = data.index(of: children, typed(ConformanceData.otherType, subject, tags: "referrer"))
            _ = data.index(of: [], ConformanceData.Extras(subject: subject))
        case .missingSubject:
            let subject = data.descriptor(of: TestBlob(sizeBytes: 123), mediaType: MediaType.ociManifest)
            _ = data.artifact(typed(ConformanceData.exampleType, subject, tags: "referrer", "0"))
        default:
            let subject = data.image(tagged)
            _ = data.image(ConformanceData.Extras(subject: subject))
            _ = data.artifact(typed(ConformanceData.exampleType, subject, tags: "referrer-1"))
            _ = data.artifact(
                layerType: "application/octet-stream",
                typed(ConformanceData.otherType, subject, tags: "referrer-2"))
        }
        return data
    }

    private func withDigestsAndTags() -> ConformanceData {
        var data = ConformanceData(algorithm: self == .tagsInQuery ? .sha256 : .sha512)
        _ = data.index(of: data.platformImages())
        // A push by tag would be one under SHA-256.
        if self != .sha512 { data.tagAll("\(self)") }
        return data
    }
}
