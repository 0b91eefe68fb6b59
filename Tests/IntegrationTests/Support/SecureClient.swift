// SPDX-License-Identifier: Apache-2.0

import Foundation
import StackSupport
import Testing

/// curl, trusting the authority of a stack with TLS and nobody else.
struct SecureClient: Sendable {
    let stack: StackDescription
    let authority: CertificateAuthority
    private let scratch: ScratchDirectory

    init(_ stack: RunningStack) throws {
        self.stack = stack.description
        try #require(self.stack.certificateAuthority != nil, "the stack needs TLS")
        authority = CertificateAuthority(stack.path + "/tls")
        scratch = try ScratchDirectory("secure")
    }

    /// - Parameter authorityFile: In place of the right one.
    func curl(
        _ arguments: [String], trusting authorityFile: String? = nil, limit: Duration = .seconds(60)
    ) -> Command {
        let trust = ["--cacert", authorityFile ?? authority.certificatePath]
        return Command(
            ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*"] + trust + arguments, limit: limit)
    }

    /// To the origin, with the organization's token.
    func atOrigin(_ path: String, _ arguments: [String] = []) -> [String] {
        ["--header", "Authorization: \(stack.basicAuthorization)"] + arguments
            + [path.hasPrefix("/") ? stack.origin + path : path]
    }

    /// A random blob, pushed.
    /// - Returns: The path of its bytes, and its digest in hex.
    func pushedBlob(sizeBytes: Int, to repository: String) async throws -> (path: String, hex: String) {
        let path = scratch.path("blob-\(UUID().uuidString.prefix(8))")
        let made = try await Command(["sh", "-ec", "head -c \(sizeBytes) /dev/urandom | tee \(path) | sha256sum"]).run()
        let hex = String(made.text.prefix(64))
        let uploads = "/v2/\(stack.organization)/\(repository)/blobs/uploads/"
        let answer = ["--request", "POST", "--output", "/dev/null", "--write-out", "%header{location}"]
        let location = try await curl(atOrigin(uploads, answer)).run().text
        let separator = location.contains("?") ? "&" : "?"
        try await curl(
            atOrigin("\(location)\(separator)digest=sha256:\(hex)", ["--upload-file", path, "--request", "PUT"])
        ).run()
        return (path, hex)
    }

    /// Where the origin sends a client for a blob.
    func link(to hex: String, in repository: String) async throws -> String {
        let path = "/v2/\(stack.organization)/\(repository)/blobs/sha256:\(hex)"
        let answer = ["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"]
        let words = try await curl(atOrigin(path, answer)).run().text.split(separator: " ")
        try #require(words.count == 2 && words[0] == "307", "\(words)")
        return String(words[1])
    }

    /// The digest of what a URL holds.
    func digest(of arguments: [String]) async throws -> String {
        let path = scratch.path("got")
        try await curl(["--output", path] + arguments).run()
        return try await hex(of: path)
    }

    func hex(of path: String) async throws -> String {
        String(try await Command(["sha256sum", path]).run().text.prefix(64))
    }

    /// A download of 64 MiB in a second at most, so that it has a middle.
    func startSlowly(_ arguments: [String]) throws -> SlowDownload {
        let path = scratch.path("slow-\(UUID().uuidString.prefix(8))")
        // One connection, no second try: a transfer that breaks fails.
        let command = curl(["--limit-rate", "64M", "--output", path] + arguments)
        return SlowDownload(command: try command.start(), path: path)
    }
}

/// A transfer in its middle.
struct SlowDownload: Sendable {
    let command: RunningCommand
    let path: String

    func isUnderWay(bytes: Int = 16 << 20) -> Bool {
        ((try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0) >= bytes
    }
}
