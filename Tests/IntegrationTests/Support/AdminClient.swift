// SPDX-License-Identifier: Apache-2.0

import Grammar
import Hashing
import OCI
import StackSupport
import Testing

/// `/api/v1` of one origin, asked with one token.
struct AdminClient: Sendable {
    static let prefix = "/api/v1"

    let endpoint: Endpoint
    /// `nil`: no credential.
    let token: String?

    /// The administrator of a system, at its first origin.
    init(_ system: System) {
        self.init(endpoint: system.admin, token: system.description.adminToken)
    }

    init(endpoint: Endpoint, token: String?) {
        self.endpoint = endpoint
        self.token = token
    }

    /// The same origin, asked by somebody else.
    func asked(with token: String?) -> AdminClient { AdminClient(endpoint: endpoint, token: token) }

    /// - Parameter path: Below `/api/v1/`, perhaps with a query.
    func send(_ method: String, _ path: String, _ body: [UInt8] = []) async throws -> Answer {
        let credential = token.map { [(name: "Authorization", value: "Bearer \($0)")] } ?? []
        return try await IntegrationTests.ask(
            endpoint, HTTPRequest(method, "\(Self.prefix)/\(path)", headers: credential, body: body))
    }

    func ask(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> Answer {
        try await send(method, path, body?.encode() ?? [])
    }

    /// What has to succeed.
    /// - Returns: The document that is answered; an empty one for 204.
    @discardableResult
    func done(
        _ method: String, _ path: String, _ body: JSONValue? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> JSONValue {
        let answer = try await ask(method, path, body)
        try #require(
            (200..<300).contains(answer.status), "\(method) \(path): \(answer.status) \(answer.text)",
            sourceLocation: sourceLocation)
        return answer.status == 204 ? [:] : try #require(answer.json, sourceLocation: sourceLocation)
    }

    /// Makes a token.
    func token(_ path: String, _ body: JSONValue) async throws -> MadeToken {
        let made = try await done("POST", path, body)
        return MadeToken(
            id: try #require(made["id"]?.integerValue), secret: try #require(made["token"]?.stringValue))
    }

    /// Every item of a list, page by page.
    /// - Parameter limit: Of each page.
    func items(_ path: String, limit: Int = 1000) async throws -> [JSONValue] {
        var found: [JSONValue] = []
        var after = ""
        repeat {
            let page = try await done("GET", "\(path)?limit=\(limit)\(after)")
            let items = try #require(page["items"]?.arrayValue)
            found += items
            after = page["next"]?.stringValue.map { "&after=\($0)" } ?? ""
            try #require(after.isEmpty || items.count == limit, "a page that is followed is full")
        } while !after.isEmpty
        return found
    }
}

/// A token as it was shown once.
struct MadeToken: Sendable {
    let id: Int64
    let secret: String

    /// The text of a token that nobody has made, its checksum right.
    static func unknown(prefix: String = "dpo_") -> String {
        let body = prefix + Base64URL.encode(TestBlob.random(32))
        return body + Base64URL.encode(SHA256.hash(Array(body.utf8)).bytes).prefix(6)
    }
}

/// A name that no other test has.
func freshName(_ prefix: String) -> String { "\(prefix)-\(TestBlob(sizeBytes: 8).digest.hex.prefix(10))" }

/// Runs many independent checks, some at a time: the answer to a credential that does not count is held back.
func concurrently<Element: Sendable>(
    _ elements: [Element], width: Int = 48, _ body: @Sendable @escaping (Element) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, element) in elements.enumerated() {
            if index >= width { try await group.next() }
            group.addTask { try await body(element) }
        }
        try await group.waitForAll()
    }
}
