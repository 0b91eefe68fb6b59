// SPDX-License-Identifier: Apache-2.0

import Glibc
import Grammar
import OCI

/// What reads text of strangers, one target each, for libFuzzer (`Scripts/fuzz`). A target traps where a promise of the
/// reader does not hold; libFuzzer itself finds traps inside, endless loops and wasted memory.
enum FuzzTarget: String, CaseIterable {
    case path, names, manifest, ranges, credentials, queries
    case links, requests, trailers, maps, cacheNames, messages

    func read(_ bytes: [UInt8]) {
        switch self {
        case .path: Self.path(Self.text(bytes))
        case .names: Self.names(Self.text(bytes))
        case .manifest: Self.manifest(bytes)
        case .ranges: Self.ranges(bytes)
        case .credentials: Self.credentials(Self.text(bytes))
        case .queries: Self.queries(Self.text(bytes))
        case .links: Self.links(Self.text(bytes))
        case .requests: Self.requests(bytes)
        case .trailers: Self.trailers(bytes)
        case .maps: Self.maps(bytes)
        case .cacheNames: Self.cacheNames(Self.text(bytes))
        case .messages: Self.messages(bytes)
        }
    }

    /// As text arrives from the HTTP parser: bytes that are no UTF-8 are repaired.
    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// A path that was understood can be put together again from its parts, byte for byte.
    private static func path(_ text: String) {
        let target = RawTarget(text)
        let joined = target.query.map { "\(target.path)?\($0)" } ?? String(target.path)
        precondition(joined == text, "the target is its two parts")
        guard let path = RegistryPath(target.path) else { return }
        let tail: String
        switch path.resource {
        case .base:
            precondition(target.path == "/v2" || target.path == "/v2/", "the base has one path")
            return
        case .catalog: tail = "_catalog"
        case .blob(let digest): tail = "blobs/\(digest)"
        case .uploads: tail = "blobs/uploads/"
        case .upload(let id): tail = "blobs/uploads/\(id)"
        case .manifest(let reference): tail = "manifests/\(reference)"
        case .tags: tail = "tags/list"
        case .referrers(let digest): tail = "referrers/\(digest)"
        }
        let front = path.name.isEmpty ? "/v2/" : "/v2/\(path.name)/"
        // An empty name stands for `/v2/tags/list` and for `/v2//tags/list`; neither is a name.
        precondition(
            target.path == front + tail || path.name.isEmpty && target.path == "/v2//" + tail,
            "the path is name and resource")
    }

    /// What was accepted is written as it was read, and has only characters that paths and headers can hold.
    private static func names(_ text: String) {
        if let digest = Digest(text) { precondition(digest.description == text, "one digest has one text") }
        if let tag = Tag(text) {
            precondition(tag.text == text && isPlain(text) && text.utf8.count <= 128, "a plain tag")
        }
        if let name = RepositoryName(text) {
            precondition(name.text == text && isPlain(text) && text.utf8.count <= 255, "a plain name")
            precondition(!text.contains("..") && !text.contains("//"), "no way up")
        }
        switch ReferenceText(text[...]) {
        case .reference(.digest(let digest)): precondition(digest.description == text, "a digest")
        case .reference(.tag(let tag)): precondition(tag.text == text, "a tag")
        case .invalidDigest, .invalidTag: precondition(Digest(text) == nil && Tag(text) == nil, "neither")
        }
    }

    private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

    /// What the bounded reader accepts it writes so that it reads the same again; whatever it is, a manifest or an error.
    private static func manifest(_ bytes: [UInt8]) {
        if let value = try? BoundedJSON.parse(bytes, limits: JSONLimits(bytesMax: bytes.count)) {
            let written = value.encode()
            let again = try? BoundedJSON.parse(written, limits: JSONLimits(bytesMax: written.count))
            precondition(again == value, "what is written reads as what it was")
        }
        for contentType in [nil, MediaType.ociManifest, MediaType.ociIndex] {
            guard let document = try? ManifestDocument(body: bytes, contentType: contentType) else { continue }
            precondition(document.kind == .index || document.config != nil, "an image has a config")
            precondition(document.references.allSatisfy { $0.1.sizeBytes >= 0 }, "sizes are sizes")
            _ = document.descriptorsWithData
        }
    }

    /// A range lies in the blob and is not empty. The first eight bytes are the blob's size.
    private static func ranges(_ bytes: [UInt8]) {
        guard bytes.count >= 8 else { return }
        let size = Int64(bytes[..<8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } & UInt64(Int64.max))
        let header = text(Array(bytes[8...]))
        if case .part(let range) = RangeSelection(header: header, sizeBytes: size) {
            precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= size, "inside the blob")
            _ = ContentRange.part(range, ofBytes: size)
        }
        if let chunk = try? ChunkRange.parse(header) {
            precondition(!chunk.isEmpty && chunk.lowerBound >= 0, "a chunk has bytes")
            _ = ChunkRange.text(sizeBytes: chunk.upperBound)
        }
        _ = Precondition.noneMatchHolds(header: header, entityTag: "\"sha256:00\"")
        _ = Precondition.rangeApplies(ifRange: header, entityTag: "\"sha256:00\"")
    }

    /// The shape of a JWT is judged before anything in it; only three parts of canonical base64url pass.
    private static func credentials(_ text: String) {
        _ = AuthorizationHeader(text)
        guard StrictJWT.keyID(of: text) != nil else { return }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        precondition(parts.count == 3, "three parts")
        for part in parts {
            let bytes = Base64URL.decode(String(part))
            precondition(bytes.map { Base64URL.encode($0) } == String(part), "one text for the same bytes")
        }
    }

    /// Whatever an item holds, written and read again it is the same.
    private static func queries(_ text: String) {
        guard let form = try? FormItems(text[...], countMax: 64) else { return }
        precondition(form.items.count <= 64, "as many as are allowed")
        for (name, value) in form.items {
            let written = "\(FormItems.encoded(name))=\(FormItems.encoded(value))"
            let again = try? FormItems(written[...])
            precondition(again?.all(name) == [value], "an item survives its encoding")
        }
    }
}

/// The target that `DEPOT_FUZZ_TARGET` names.
private let target: FuzzTarget = {
    let name = getenv("DEPOT_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        preconditionFailure(
            "DEPOT_FUZZ_TARGET is one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return target
}()

/// libFuzzer's callback (llvm.org, "libFuzzer – a library for coverage-guided fuzz testing").
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.read(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The package manager names the entry of an executable after its module, and makes `main` an alias of that; so
/// libFuzzer's own `main` is not the one that runs.
@_cdecl("depot_fuzz_main")
public func fuzzMain(
    _ argumentCount: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> CInt {
    var (argumentCount, arguments) = (argumentCount, arguments)
    return runDriver(&argumentCount, &arguments) { fuzzOneInput($0, $1) }
}
