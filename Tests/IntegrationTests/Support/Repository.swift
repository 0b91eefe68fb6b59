// SPDX-License-Identifier: Apache-2.0

import Foundation
import OCI
import StackSupport
import Testing

/// What a request shows to the origin.
enum Credential: Sendable {
    case none
    /// The organization's token, as user `x-token` by Basic.
    case organization
    /// The administrator's token, the same way.
    case administrator
    case basic(String)
    case bearer(String)

    func headers(of description: StackDescription) -> [(name: String, value: String)] {
        switch self {
        case .none: []
        case .organization: [("Authorization", description.basicAuthorization)]
        case .administrator: Self.basic("x-token:\(description.adminToken)").headers(of: description)
        case .basic(let pair): [("Authorization", "Basic " + Data(pair.utf8).base64EncodedString())]
        case .bearer(let token): [("Authorization", "Bearer \(token)")]
        }
    }
}

/// One repository at the origin, asked by raw requests.
struct Repository: Sendable {
    let system: System
    /// In the path form, organization first.
    let name: String
    var credential: Credential

    /// The same repository, asked by somebody else.
    func asked(with credential: Credential) -> Repository {
        Repository(system: system, name: name, credential: credential)
    }

    /// - Parameter path: Below `/v2/NAME/`, or absolute.
    func request(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) -> HTTPRequest {
        let target = path.hasPrefix("/") ? path : "/v2/\(name)/\(path)"
        return HTTPRequest(
            method, target, headers: credential.headers(of: system.description) + headers, body: body)
    }

    func ask(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        isKept: Bool = true
    ) async throws -> Answer {
        try await IntegrationTests.ask(
            system.origin, request(method, path, headers: headers, body: body), isKept: isKept)
    }

    // MARK: Blobs

    /// POST.
    /// - Returns: `Location` of the upload.
    func startUpload(_ query: String = "") async throws -> String {
        let answer = try await ask("POST", "blobs/uploads/\(query)")
        try #require(answer.status == 202, "\(answer.text)")
        return try #require(answer["location"])
    }

    /// POST and PUT.
    func push(_ blob: TestBlob) async throws {
        let algorithm = blob.digest.algorithm
        let upload = try await startUpload(algorithm == .sha256 ? "" : "?digest-algorithm=\(algorithm.rawValue)")
        let answer = try await ask("PUT", "\(upload)?digest=\(blob.digest)", body: blob.bytes)
        try #require(answer.status == 201, "\(answer.text)")
    }

    func pushedBlob(sizeBytes: Int, algorithm: DigestAlgorithm = .sha256) async throws -> TestBlob {
        let blob = TestBlob(sizeBytes: sizeBytes, algorithm: algorithm)
        try await push(blob)
        return blob
    }

    /// The link of a 307.
    func link(to blob: TestBlob) async throws -> EdgeLink {
        let answer = try await ask("GET", "blobs/\(blob.digest)")
        try #require(answer.status == 307, "\(answer.status) \(answer.text.prefix(200))")
        return try EdgeLink(url: try #require(answer["location"]))
    }

    /// The bytes from the origin itself.
    func blobFromOrigin(_ digest: Digest, headers: [(name: String, value: String)] = []) async throws -> Answer {
        try await ask("GET", "blobs/\(digest)", headers: [("Depot-Redirect", "never")] + headers)
    }

    // MARK: Manifests

    func push(_ manifest: TestManifest, as reference: String) async throws -> Answer {
        try await ask(
            "PUT", "manifests/\(reference)", headers: [("Content-Type", manifest.mediaType)], body: manifest.bytes)
    }
}
