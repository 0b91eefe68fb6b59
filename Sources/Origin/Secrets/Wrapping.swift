// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials

/// Encrypts secrets for the database: AES-256-GCM under the key file, bound to what each secret is for.
///
/// Format: one version byte (1), nonce (12), ciphertext, tag (16). The context is authenticated and not stored, so a
/// secret moved to another row does not open there.
package struct Wrapping: Sendable {
    private static let version: UInt8 = 1

    private let key: SymmetricKey

    package init(_ keyFile: KeyFile) { key = SymmetricKey(data: keyFile.key) }

    /// - Parameter context: What the secret is for; the same again to unwrap it.
    package func wrap(_ secret: [UInt8], context: String) throws(SecretsError) -> [UInt8] {
        do {
            // A random nonce: a deployment wraps far fewer than the 2^32 secrets that would make a repetition likely.
            let box = try AES.GCM.seal(secret, using: key, authenticating: Self.authenticated(context))
            return [Self.version] + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw .notUnwrapped(context: context)
        }
    }

    /// - Throws: `.notUnwrapped`.
    package func unwrap(_ wrapped: [UInt8], context: String) throws(SecretsError) -> [UInt8] {
        guard wrapped.first == Self.version,
            let box = try? AES.GCM.SealedBox(combined: wrapped.dropFirst()),
            let secret = try? AES.GCM.open(box, using: key, authenticating: Self.authenticated(context))
        else { throw .notUnwrapped(context: context) }
        return Array(secret)
    }

    private static func authenticated(_ context: String) -> [UInt8] { [version] + Array(context.utf8) }
}
