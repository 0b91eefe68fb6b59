// SPDX-License-Identifier: Apache-2.0

package import NIOSSL

/// TLS of both programs: TLS 1.2 and up, and HTTP/1.1 as the only protocol offered, since HTTP/2's flow control
/// throttles large blobs (`Docs/decisions/0004-http1-only.md`).
package enum ServerTLS {
    /// A certificate and its key, ready for connections.
    package struct Pair: Sendable {
        package let context: NIOSSLContext
        /// Of the leaf, in hexadecimal digits.
        package let serial: String
        /// Seconds since 1970.
        package let expirySeconds: Int64
    }

    /// Reads both files; blocks on the disk.
    /// - Parameters:
    ///   - certificatePath: PEM, leaf first, then intermediates.
    ///   - keyPath: PEM.
    /// - Throws: What is wrong with the files, named by path.
    package static func pair(certificatePath: String, keyPath: String) throws(ServerTLSError) -> Pair {
        let chain: [NIOSSLCertificate]
        do { chain = try NIOSSLCertificate.fromPEMFile(certificatePath) } catch {
            throw ServerTLSError("\(certificatePath) holds no certificate that can be read: \(error)")
        }
        guard let leaf = chain.first else { throw ServerTLSError("\(certificatePath) holds no certificate") }
        let key: NIOSSLPrivateKey
        do { key = try NIOSSLPrivateKey(file: keyPath, format: .pem) } catch {
            throw ServerTLSError("\(keyPath) holds no private key that can be read: \(error)")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        do {
            return Pair(
                context: try NIOSSLContext(configuration: configuration),
                serial: leaf.serialNumber.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(),
                expirySeconds: Int64(leaf.notValidAfter))
        } catch {
            throw ServerTLSError("\(certificatePath) and \(keyPath) do not belong together: \(error)")
        }
    }
}

/// A certificate or key that cannot be used; one line for the operator.
package struct ServerTLSError: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
