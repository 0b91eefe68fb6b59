// SPDX-License-Identifier: Apache-2.0

import Glibc
import OCI
import StackSupport
import Testing

/// What the names in braces of one case stand for. Things are made when they are first named, in repositories that no
/// other case uses unless it only reads them, and stay the same for the whole case.
///
/// - `host`, `port`, `org`: as called; `basic`, `admin`: valid values of `Authorization`.
/// - `repo`, `other`: repositories that exist; `repo.absent` does not; `repo.tags` has the tags t0 to t1000;
///   `foreign.repo` is of an organization that `basic` does not see, `whole.repo` of one that keeps indexes whole.
/// - `blob` (4,321 bytes), `blob.two` (`{}`), `blob.empty`, `blob.shared` (also in `other`): digests in `repo`;
///   `blob.other`, `foreign.blob`: elsewhere; `absent`: nowhere.
/// - `config`, `layer`: descriptors of blobs in `repo`. `image`, with its `image.size` and `image.layer`: the digest of
///   a manifest there; `image.other`, `whole.image` and `whole.image.size`: elsewhere.
/// - `upload`, `upload:N`: path of a session in `repo`, with N bytes; `upload.other`, `upload.tampered`: ids of one in
///   `other`, and of none.
/// - `sent.sha256`, `sent.sha512`: digests of the request's body, or of the last one sent; `length`: its bytes.
/// - `repeat:TEXT:N`: a text N times, in which `#` counts from 0; `descriptors:N`: a list of layers that are nowhere.
/// - `trap`: address of a listener that must not be called. `jwt`, `kid`: see `ForgedToken`.
/// - `link` and all that begins with it: see `BadInputLinks`.
final class BadInputFixture {
    let system: System
    let trap: EgressTrap
    /// The body that was sent last.
    var sentBody: [UInt8] = []
    private let label = TestBlob(sizeBytes: 4).digest.hex.prefix(8)
    private var known: [String: String] = [:]
    private var links: BadInputLinks?

    init(system: System, trap: EgressTrap) {
        self.system = system
        self.trap = trap
    }

    func value(of name: String) async throws -> [UInt8] {
        if name.hasPrefix("repeat:") { return try await repeated(name.dropFirst(7)) }
        if let known = known[name] { return Array(known.utf8) }
        let value = try await made(name)
        // What changes with each request is not kept.
        if !name.hasPrefix("sent.") { known[name] = value }
        return Array(value.utf8)
    }

    private func text(_ name: String) async throws -> String {
        String(decoding: try await value(of: name), as: UTF8.self)
    }

    private func made(_ name: String) async throws -> String {
        switch name {
        case "host": return system.origin.authority
        case "port": return "\(system.origin.port)"
        case "org": return system.description.organization
        case "basic", "admin":
            let credential: Credential = name == "basic" ? .organization : .administrator
            return credential.headers(of: system.description)[0].value
        case "trap": return trap.endpoint.authority
        case "absent": return "\(TestBlob(sizeBytes: 16).digest)"
        case "repo.absent": return repository("absent").name
        case "sent.sha256": return "\(TestBlob(bytes: sentBody).digest)"
        case "sent.sha512": return "\(TestBlob(bytes: sentBody, algorithm: .sha512).digest)"
        case "repo.tags": return try await pushTags()
        case "foreign.repo", "foreign.blob":
            let foreign = try await repository(ofOrganization: "bad-input-foreign", missingReferences: "NULL")
            known["foreign.blob"] = "\(try await foreign.pushedBlob(sizeBytes: 4321).digest)"
            known["foreign.repo"] = foreign.name
        case "whole.repo", "whole.image", "whole.image.size":
            let whole = try await repository(ofOrganization: "bad-input-whole", missingReferences: "'none'")
            let (image, _) = try await pushedImage(in: whole)
            known["whole.repo"] = whole.name
            known["whole.image"] = "\(image.digest)"
            known["whole.image.size"] = "\(image.bytes.count)"
        case "image", "image.size", "image.layer":
            let (image, layer) = try await pushedImage(in: try await existing())
            known["image"] = "\(image.digest)"
            known["image.size"] = "\(image.bytes.count)"
            known["image.layer"] = "\(layer.digest)"
        case "image.other": return "\(try await pushedImage(in: try await existing("other")).image.digest)"
        case _ where name.hasPrefix("descriptors:"): return try absentLayers(name.dropFirst(12))
        case _ where name.hasPrefix("upload"): return try await upload(name)
        case _ where name.hasPrefix("link"): return try await madeLinks().value(of: name)
        default: return try await content(name)
        }
        return try #require(known[name])
    }

    /// The link of this case, made when it is first needed.
    func madeLinks() async throws -> BadInputLinks {
        if let links { return links }
        let made = try await BadInputLinks(blob: existing().pushedBlob(sizeBytes: 70_001), in: existing())
        links = made
        return made
    }

    // MARK: Repositories

    private func repository(_ suffix: String = "") -> Repository {
        system.repository("bad-\(label)\(suffix.isEmpty ? "" : "-\(suffix)")")
    }

    /// A repository that has been pushed to.
    private func existing(_ suffix: String = "") async throws -> Repository {
        let repository = repository(suffix)
        let name = suffix.isEmpty ? "repo" : suffix
        if known[name] == nil {
            try await repository.push(TestBlob(bytes: Array("exists".utf8)))
            known[name] = repository.name
        }
        return repository
    }

    /// A repository of another organization, which only the administrator sees.
    private func repository(
        ofOrganization slug: String, missingReferences: String
    ) async throws -> Repository {
        // No API makes organizations yet.
        let organization = """
            INSERT INTO organizations (slug, label, missing_references)
            VALUES ('\(slug)', left(md5('\(slug)'), 16), \(missingReferences)) ON CONFLICT DO NOTHING
            """
        try await Command(["psql", "-v", "ON_ERROR_STOP=1", "-qc", organization, system.description.databaseUrl]).run()
        return Repository(system: system, name: "\(slug)/bad-\(label)", credential: .administrator)
    }

    /// They are pushed once: nobody changes them.
    private func pushTags() async throws -> String {
        let repository = system.repository("bad-input-tags")
        if try await repository.ask("HEAD", "manifests/t1000").status == 200 { return repository.name }
        let manifest = TestManifest.image(config: try await repository.pushedBlob(sizeBytes: 10), layers: [])
        let connection = try HTTPConnection(to: system.origin)
        for number in 0...1000 {
            let answer = try await connection.answer(
                to: repository.request(
                    "PUT", "manifests/t\(number)", headers: [("Content-Type", manifest.mediaType)],
                    body: manifest.bytes))
            try #require(answer.status == 201, "\(answer.text)")
        }
        return repository.name
    }

    // MARK: Content

    private func content(_ name: String) async throws -> String {
        switch name {
        case "repo": return try await existing().name
        case "other": return try await existing("other").name
        case "blob": return "\(try await existing().pushedBlob(sizeBytes: 4321).digest)"
        case "blob.other": return "\(try await existing("other").pushedBlob(sizeBytes: 4321).digest)"
        case "blob.two", "blob.empty", "blob.shared":
            let blob =
                name == "blob.shared"
                ? TestBlob(sizeBytes: 4321) : TestBlob(bytes: Array((name == "blob.two" ? "{}" : "").utf8))
            try await existing().push(blob)
            if name == "blob.shared" { try await existing("other").push(blob) }
            return "\(blob.digest)"
        case "config", "layer":
            let blob = try await existing().pushedBlob(sizeBytes: 50)
            return TestManifest.descriptor(
                blob.digest, sizeBytes: 50, mediaType: name == "config" ? TestManifest.configType : Self.layerType)
        default: throw BadInputSyntaxError(description: "nothing is known as {\(name)}")
        }
    }

    private func pushedImage(in repository: Repository) async throws -> (image: TestManifest, layer: TestBlob) {
        let layer = try await repository.pushedBlob(sizeBytes: 200)
        let image = TestManifest.image(config: try await repository.pushedBlob(sizeBytes: 100), layers: [layer])
        let answer = try await repository.push(image, as: "latest")
        try #require(answer.status == 201, "\(answer.text)")
        return (image, layer)
    }

    private func upload(_ name: String) async throws -> String {
        switch name {
        case "upload.other":
            let path = try await existing("other").startUpload()
            return String(try #require(path.split(separator: "/").last))
        case "upload.tampered":
            var id = String(try #require(try await text("upload").split(separator: "/").last))
            let last = id.removeLast()
            return id + (last == "0" ? "1" : "0")
        default:
            let repository = try await existing()
            let path = try await repository.startUpload()
            guard let colon = name.firstIndex(of: ":") else { return path }
            let count = try #require(Int(name[name.index(after: colon)...]))
            let answer = try await repository.ask("PATCH", path, body: [UInt8](repeating: 0x78, count: count))
            try #require(answer.status == 202, "\(answer.text)")
            return path
        }
    }

    // MARK: Much of it

    private func repeated(_ instruction: Substring) async throws -> [UInt8] {
        let colon = try #require(instruction.lastIndex(of: ":"))
        let count = try #require(Int(instruction[instruction.index(after: colon)...]))
        let text = try await BadInputText.bytes(of: instruction[..<colon], value: value(of:))
        if text.count == 1 { return [UInt8](repeating: text[0], count: count) }
        let parts = text.split(separator: UInt8(ascii: "#"), omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * text.count)
        for number in 0..<count {
            bytes += parts.joined(separator: String(number).utf8)
        }
        return bytes
    }

    private static let layerType = "application/vnd.oci.image.layer.v1.tar"

    private func absentLayers(_ count: Substring) throws -> String {
        let count = try #require(Int(count))
        let layers = (0..<count).map { number in
            let digits = String(number)
            let digest = "sha256:" + String(repeating: "0", count: 64 - digits.count) + digits
            return #"{"mediaType":"\#(Self.layerType)","digest":"\#(digest)","size":1}"#
        }
        return layers.joined(separator: ",")
    }
}

/// A listener that nobody has a reason to call.
final class EgressTrap: Sendable {
    let endpoint: Endpoint
    private let listener: Int32

    init() throws {
        (listener, endpoint) = try listenOnLoopback(backlog: 8)
    }

    deinit { close(listener) }

    /// Whether anybody has connected since this was made.
    var wasCalled: Bool {
        var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) > 0
    }
}
