// SPDX-License-Identifier: Apache-2.0

package import NIOSSL

/// TLS of both programs: TLS 1.2 and up, and HTTP/1.1 as the only protocol offered, since HTTP/2's flow control
/// throttles large blobs (`Docs/decisions/0004-http1-only.md`).
package enum ServerTLS {
    /// - Parameters:
    ///   - certificatePath: PEM, leaf first, then intermediates.
    ///   - keyPath: PEM.
    /// - Throws: What is wrong with the files, as NIOSSL words it.
    package static func configuration(certificatePath: String, keyPath: String) throws -> TLSConfiguration {
        let chain = try NIOSSLCertificate.fromPEMFile(certificatePath).map { NIOSSLCertificateSource.certificate($0) }
        let key = try NIOSSLPrivateKey(file: keyPath, format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }
}
