// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The OpenID Connect issuer of `issuer.py`: a process that shares nothing with the registry, whose keys and signatures
/// OpenSSL makes.
package struct LoopbackIssuer: Sendable {
    private struct NoScript: Error {}

    package let process: RunningCommand
    /// `http://127.0.0.1:PORT`; the `iss` claim.
    package let url: String

    package static var isAvailable: Bool { isInstalled("python3") && isInstalled("openssl") }

    /// Starts one. The caller calls `stop()`.
    package static func start(limit: Duration = .seconds(100)) async throws -> LoopbackIssuer {
        guard let script = Bundle.module.path(forResource: "issuer", ofType: "py") else { throw NoScript() }
        let process = try Command(["python3", script], limit: limit).start()
        try await waitUntil("the issuer listens") {
            guard process.isRunning else {
                throw CommandFailure(command: script, result: try await process.result())
            }
            return try process.outputSoFar().last == UInt8(ascii: "\n")
        }
        let line = String(decoding: try process.outputSoFar(), as: UTF8.self)
        return LoopbackIssuer(process: process, url: line.trimmingCharacters(in: .newlines))
    }

    package func stop() async throws { try await process.stop() }

    /// - Parameter path: One of those that `issuer.py` names.
    /// - Returns: The body of a 200.
    package func ask(_ method: String, _ path: String, _ body: [UInt8] = []) async throws -> String {
        let answer = try await RawHTTP(url, limit: .seconds(20)).request(method, path, body: Data(body))
        guard answer.status == 200 else { throw RawHTTPError(description: "\(path): \(answer.status)") }
        return answer.text
    }

    /// - Parameter claims: A JSON object.
    package func token(_ keyID: String, _ algorithm: String, _ claims: [UInt8]) async throws -> String {
        try await ask("POST", "/test/sign?kid=\(keyID)&alg=\(algorithm)", claims)
    }
}
