// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

/// Texts of manifests to take apart.
private enum Sample {
    static let digest = "sha256:" + String(repeating: "1", count: 64)
    static let digest512 = "sha512:" + String(repeating: "2", count: 128)
    static let config = descriptor("application/vnd.oci.image.config.v1+json")
    static let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip")
    static let child = descriptor(MediaType.ociManifest)

    static func descriptor(_ mediaType: String, size: String = "7", more: String = "") -> String {
        #"{"mediaType":"\#(mediaType)","digest":"\#(digest)","size":\#(size)\#(more)}"#
    }

    static func image(
        _ mediaType: String? = MediaType.ociManifest,
        config: String = config,
        layers: String = "[\(layer)]",
        more: String = ""
    ) -> String {
        let type = mediaType.map { #""mediaType":"\#($0)","# } ?? ""
        return #"{"schemaVersion":2,\#(type)"config":\#(config),"layers":\#(layers)\#(more)}"#
    }

    static func index(
        _ mediaType: String? = MediaType.ociIndex,
        manifests: String = "[\(child)]",
        more: String = ""
    ) -> String {
        let type = mediaType.map { #""mediaType":"\#($0)","# } ?? ""
        return #"{"schemaVersion":2,\#(type)"manifests":\#(manifests)\#(more)}"#
    }
}

private func read(_ text: String, as contentType: String? = nil) throws(OCIError) -> ManifestDocument {
    try ManifestDocument(body: Array(text.utf8), contentType: contentType)
}

private func refusal(_ text: String, as contentType: String? = nil) -> OCIErrorCode? {
    do throws(OCIError) {
        _ = try read(text, as: contentType)
        return nil
    } catch {
        return error.code
    }
}

@Suite("Manifests: what is accepted")
struct ManifestAcceptanceTests {
    @Test("an image says what it is and what it needs", arguments: [MediaType.ociManifest, MediaType.dockerManifest])
    func image(mediaType: String) throws {
        let document = try read(Sample.image(mediaType), as: mediaType)
        #expect(document.kind == .image)
        #expect(document.mediaType == mediaType)
        #expect(document.config?.sizeBytes == 7)
        #expect(document.references.map(\.0) == [.config, .layer])
        #expect(document.manifests.isEmpty)
        #expect(document.subject == nil)
    }

    @Test("an index, too; indexes may be nested", arguments: [MediaType.ociIndex, MediaType.dockerManifestList])
    func index(mediaType: String) throws {
        let children =
            "[\(Sample.child),\(Sample.descriptor(MediaType.ociIndex)),\(Sample.descriptor(MediaType.dockerManifest))]"
        let document = try read(Sample.index(mediaType, manifests: children), as: mediaType)
        #expect(document.kind == .index)
        #expect(document.config == nil)
        #expect(document.references.map(\.0) == [.child, .child, .child])
    }

    @Test("the type may stand in the text alone or in the header alone")
    func typeInOnePlace() throws {
        #expect(try read(Sample.image(MediaType.ociManifest), as: nil).mediaType == MediaType.ociManifest)
        #expect(try read(Sample.image(nil), as: MediaType.ociManifest).mediaType == MediaType.ociManifest)
        #expect(try read(Sample.index(nil), as: MediaType.ociIndex).kind == .index)
    }

    @Test(
        "parameters and case of the header do not matter",
        arguments: ["; charset=utf-8", ";charset=utf-8", " ; a=b", " "])
    func parameters(suffix: String) throws {
        #expect(try read(Sample.image(), as: MediaType.ociManifest + suffix).kind == .image)
        #expect(try read(Sample.image(), as: MediaType.ociManifest.uppercased() + suffix).kind == .image)
    }

    @Test("an artifact has types of its own, a subject, and annotations")
    func artifact() throws {
        let document = try read(
            Sample.image(
                config: Sample.descriptor(MediaType.ociEmpty, size: "2", more: #","data":"e30=""#),
                layers: "[\(Sample.descriptor("text/plain; charset=utf-8"))]",
                more: #","artifactType":"application/vnd.example.sbom","subject":\#(Sample.child)"#
                    + #","annotations":{"a":"b","":"é"}"#))
        #expect(document.artifactType == "application/vnd.example.sbom")
        #expect(document.subject?.mediaType == MediaType.ociManifest)
        #expect(document.annotations == ["a": "b", "": "é"])
        #expect(document.references.map(\.0) == [.config, .layer])
        #expect(document.descriptorsWithData.map(\.data) == [Array("{}".utf8)])
    }

    @Test("sha512, a size of zero and of 2^63 − 1")
    func extremes() throws {
        let layer = #"{"mediaType":"a/b","digest":"\#(Sample.digest512)","size":9223372036854775807}"#
        let document = try read(Sample.image(config: Sample.descriptor("a/b", size: "0"), layers: "[\(layer)]"))
        #expect(document.config?.sizeBytes == 0)
        #expect(document.layers.first?.sizeBytes == .max)
        #expect(document.layers.first?.digest.algorithm == .sha512)
    }

    @Test(
        "layers that a registry need not hold are known by their type",
        arguments: [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", true),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", true),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", false),
            ("application/vnd.oci.image.layer.v1.tar+gzip", false),
            ("application/vnd.example.nondistributable.v1", false),
        ])
    func nondistributable(mediaType: String, expected: Bool) throws {
        let urls = #","urls":["https://example.com/layer","file:///etc/passwd","http://169.254.169.254/"]"#
        let document = try read(Sample.image(layers: "[\(Sample.descriptor(mediaType, more: urls))]"))
        #expect(document.layers.first?.isNondistributable == expected)
        #expect(document.layers.first?.urls.count == 3)
    }

    @Test("BuildKit's cache index: entries that are no manifests are blobs")
    func buildKitCache() throws {
        let entries = "[\(Sample.layer),\(Sample.descriptor("application/vnd.buildkit.cacheconfig.v0"))]"
        #expect(try read(Sample.index(manifests: entries)).references.map(\.0) == [.layer, .layer])
    }

    @Test("null is absence, as Go writes empty lists")
    func null() throws {
        #expect(try read(Sample.image(layers: "null", more: #","annotations":null,"subject":null"#)).layers.isEmpty)
        #expect(try read(Sample.index(manifests: "null")).manifests.isEmpty)
        let layer = Sample.descriptor("a/b", more: #","urls":null,"annotations":null,"data":null,"platform":null"#)
        #expect(try read(Sample.image(layers: "[\(layer)]")).layers.first?.data == nil)
    }

    @Test("fields that nobody knows are let through")
    func extraFields() throws {
        #expect(refusal(Sample.image(more: #","x":{"y":[1.5,{"z":null}]},"history":[]"#)) == nil)
        #expect(refusal(Sample.image(layers: "[\(Sample.descriptor("a/b", more: #","x":1"#))]")) == nil)
    }

    @Test("annotations of almost 4 MiB")
    func largeAnnotations() throws {
        let text = String(repeating: "x", count: 3_900_000)
        #expect(try read(Sample.image(more: #","annotations":{"a":"\#(text)"}"#)).annotations["a"] == text)
    }

    @Test("thousands of layers")
    func manyLayers() throws {
        let layers = "[" + Array(repeating: Sample.layer, count: 20_000).joined(separator: ",") + "]"
        #expect(try read(Sample.image(layers: layers)).layers.count == 20_000)
    }
}

@Suite("Manifests: what is refused")
struct ManifestRefusalTests {
    @Test(
        "texts that are no JSON object",
        arguments: ["", "null", "[]", "\"x\"", "1", "{", "{}x", "\u{FEFF}{}", #"{"schemaVersion":2"#])
    func notAnObject(text: String) {
        #expect(refusal(text, as: MediaType.ociManifest) == .manifestInvalid)
    }

    @Test("M13, M14: a text nested too deeply", arguments: [65, 100_000])
    func depth(depth: Int) {
        let nested = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(refusal(Sample.image(more: #","x":\#(nested)"#)) == .manifestInvalid)
        #expect(refusal(Sample.image(more: #","x":"\uD800""#)) == .manifestInvalid)
    }

    @Test(
        "M15–M18: a field that occurs twice, or in the wrong case, with or without the right one",
        arguments: [
            Sample.image(more: #","mediaType":"\#(MediaType.ociManifest)""#), Sample.image(more: #","layers":[]"#),
            Sample.index(more: #","manifests":[]"#), Sample.image(more: #","Layers":[]"#),
            Sample.image(more: #","MEDIATYPE":"""#), Sample.image(more: #","Manifests":[]"#),
            Sample.image(more: #","manifeſts":[]"#), Sample.index(more: #","LAYERS":[]"#),
            Sample.image(more: #","Subject":{}"#),
            Sample.image(layers: "[\(Sample.descriptor("a/b", more: #","Digest":"x""#))]"),
            Sample.image(layers: "[\(Sample.descriptor("a/b", more: #","ſize":1"#))]"),
            Sample.image(layers: "[\(Sample.descriptor("a/b", more: #","URLs":[]"#))]"),
            #"{"SchemaVersion":2,"config":\#(Sample.config),"layers":[]}"#,
        ])
    func ambiguousNames(text: String) {
        #expect(
            refusal(text, as: text.contains("config") ? MediaType.ociManifest : MediaType.ociIndex) == .manifestInvalid)
    }

    @Test("CVE-2021-41190: an image that is also an index, under either type")
    func imageAndIndex() {
        let both = [
            Sample.image(more: #","manifests":[]"#), Sample.image(more: #","manifests":null"#),
            Sample.index(more: #","layers":[]"#), Sample.index(more: #","config":\#(Sample.config)"#),
            Sample.image(nil, more: #","manifests":[\#(Sample.child)]"#),
        ]
        for text in both {
            for type in [nil, MediaType.ociManifest, MediaType.ociIndex, MediaType.dockerManifest] {
                #expect(refusal(text, as: type) == .manifestInvalid)
            }
        }
    }

    @Test("a type in the text that is not the type in the header")
    func differingTypes() {
        #expect(refusal(Sample.image(), as: MediaType.ociIndex) == .manifestInvalid)
        #expect(refusal(Sample.image(), as: MediaType.dockerManifest) == .manifestInvalid)
        #expect(refusal(Sample.index(), as: MediaType.dockerManifestList) == .manifestInvalid)
    }

    @Test("a type that is missing, or that of no manifest")
    func unknownTypes() {
        #expect(refusal(Sample.image(nil)) == .manifestInvalid)
        #expect(refusal(Sample.image(nil), as: "") == .manifestInvalid)
        for type in [
            "text/html", "application/json", "application/vnd.oci.image.config.v1+json", "x",
            "application/vnd.oci.artifact.manifest.v1+json",
        ] {
            #expect(refusal(Sample.image(nil), as: type) == .manifestInvalid)
            #expect(refusal(Sample.image(type), as: nil) == .manifestInvalid)
        }
        #expect(refusal(Sample.image(MediaType.ociManifest.uppercased())) == .manifestInvalid)
    }

    @Test("parts of one kind under the type of the other")
    func wrongParts() {
        #expect(refusal(Sample.image(nil), as: MediaType.ociIndex) == .manifestInvalid)
        #expect(refusal(Sample.index(nil), as: MediaType.ociManifest) == .manifestInvalid)
        #expect(refusal(#"{"schemaVersion":2}"#, as: MediaType.ociManifest) == .manifestInvalid)
        #expect(refusal(#"{"schemaVersion":2}"#, as: MediaType.ociIndex) == .manifestInvalid)
        #expect(
            refusal(#"{"schemaVersion":2,"config":\#(Sample.config)}"#, as: MediaType.ociManifest) == .manifestInvalid)
        #expect(refusal(#"{"schemaVersion":2,"layers":[]}"#, as: MediaType.ociManifest) == .manifestInvalid)
        #expect(refusal(Sample.image(config: "null")) == .manifestInvalid)
    }

    @Test(
        "M26–M29: a schema version other than the number 2", arguments: ["", "1", "3", #""2""#, "2.0", "2e0", "null"])
    func schemaVersion(version: String) {
        let field = version.isEmpty ? "" : #""schemaVersion":\#(version),"#
        let text = #"{\#(field)"config":\#(Sample.config),"layers":[]}"#
        #expect(refusal(text, as: MediaType.ociManifest) == .manifestInvalid)
    }

    @Test("docker's schema 1 is unsupported, by its type or its shape")
    func schema1() {
        let signed = #"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[],"signatures":[]}"#
        #expect(refusal(signed) == .unsupported)
        #expect(refusal(signed, as: MediaType.ociManifest) == .unsupported)
        for type in ["manifest.v1+json", "manifest.v1+prettyjws"] {
            #expect(refusal("", as: "application/vnd.docker.distribution.\(type)") == .unsupported)
            #expect(refusal(Sample.image("application/vnd.docker.distribution.\(type)")) == .unsupported)
        }
        #expect(refusal(Sample.image(more: #","fsLayers":[]"#)) == .unsupported)
    }

    @Test(
        "M30–M34: sizes that are none",
        arguments: ["-1", "1.5", "1e3", "9223372036854775808", "18446744073709551616", #""12""#, "null", "[]", "true"])
    func sizes(size: String) {
        #expect(refusal(Sample.image(layers: "[\(Sample.descriptor("a/b", size: size))]")) == .manifestInvalid)
        #expect(refusal(Sample.image(config: Sample.descriptor("a/b", size: size))) == .manifestInvalid)
        #expect(
            refusal(Sample.image(more: #","subject":\#(Sample.descriptor("a/b", size: size))"#)) == .manifestInvalid)
        #expect(refusal(Sample.index(manifests: "[\(Sample.descriptor("a/b", size: size))]")) == .manifestInvalid)
    }

    @Test(
        "M36–M38: digests that are none, wherever they stand",
        arguments: [
            "", "sha256:abc", "md5:0123456789abcdef0123456789abcdef", "sha256:" + String(repeating: "A", count: 64),
        ])
    func digests(digest: String) {
        let bad = #"{"mediaType":"a/b","digest":"\#(digest)","size":1}"#
        #expect(refusal(Sample.image(config: bad)) == .manifestInvalid)
        #expect(refusal(Sample.image(layers: "[\(Sample.layer),\(bad)]")) == .manifestInvalid)
        #expect(refusal(Sample.image(more: #","subject":\#(bad)"#)) == .manifestInvalid)
        #expect(refusal(Sample.index(manifests: "[\(bad)]")) == .manifestInvalid)
    }

    @Test(
        "descriptors that are none",
        arguments: [
            "null", "[]", "1", "{}", #"{"mediaType":"a/b","size":1}"#,
            #"{"mediaType":"a/b","digest":"\#(Sample.digest)"}"#, #"{"digest":"\#(Sample.digest)","size":1}"#,
            Sample.descriptor(""), Sample.descriptor("a"), Sample.descriptor("a/b/c"), Sample.descriptor("a/"),
            Sample.descriptor("a/é"), Sample.descriptor(#"a/b\n"#), Sample.descriptor("a b/c"),
            Sample.descriptor("a/" + String(repeating: "b", count: 300)),
            Sample.descriptor("a/b", more: #","urls":"x""#), Sample.descriptor("a/b", more: #","urls":[1]"#),
            Sample.descriptor("a/b", more: #","annotations":{"a":1}"#),
            Sample.descriptor("a/b", more: #","annotations":[]"#),
            Sample.descriptor("a/b", more: #","artifactType":1"#),
        ])
    func descriptors(text: String) {
        #expect(refusal(Sample.image(layers: "[\(text)]")) == .manifestInvalid)
    }

    @Test(
        "M50: data that is not base64 of the size given",
        arguments: [
            "1", #""""#, #""eA""#, #""e3==""#, #""e30""#, #""e31=""#, #""e_0=""#, #""e30K""#, #""e30= ""#, #""====""#,
        ])
    func data(data: String) {
        let config = Sample.descriptor("a/b", size: "2", more: #","data":\#(data)"#)
        #expect(refusal(Sample.image(config: config)) == .manifestInvalid)
    }

    @Test(
        "M45 and its like: fields of the wrong type",
        arguments: [
            #","annotations":{"a":1}"#, #","annotations":{"a":null}"#, #","annotations":[]"#, #","artifactType":1"#,
            #","artifactType":"none""#, #","subject":[]"#, #","annotations":{"a":"\u0000"}"#,
        ])
    func wrongTypes(more: String) {
        #expect(refusal(Sample.image(more: more)) == .manifestInvalid)
        #expect(refusal(Sample.image(layers: "{}")) == .manifestInvalid)
        #expect(refusal(Sample.index(manifests: "{}")) == .manifestInvalid)
    }

    @Test("M47: more descriptors than any image has")
    func tooMany() {
        let layers = "[" + Array(repeating: Sample.layer, count: 100_000).joined(separator: ",") + "]"
        #expect(refusal(Sample.image(layers: layers)) == .manifestInvalid)
    }

    @Test("the message names the place and shows nothing of the client's bytes beyond it")
    func messages() {
        do throws(OCIError) {
            _ = try read(Sample.image(layers: "[\(Sample.layer),{}]"))
            Issue.record("an empty descriptor was accepted")
        } catch {
            #expect(error.message == "layers[1].mediaType is missing or no media type")
        }
    }
}
