// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A private certificate authority in a folder, the one that `Scripts/stack --tls` makes.
package struct CertificateAuthority: Sendable {
    /// A certificate and its key, as PEM files.
    package struct Issued: Sendable {
        package let certificatePath: String
        package let keyPath: String

        /// In upper-case hexadecimal digits, as openssl prints it.
        package func serial() async throws -> String {
            try await CertificateAuthority.serial(of: ["-in", certificatePath])
        }
    }

    private static let issue = """
        import pathlib, sys
        sys.path.insert(0, sys.argv[1])
        from support.authority import Authority
        Authority(pathlib.Path(sys.argv[2])).certificate_for(*sys.argv[3:])
        """

    private let directory: String

    /// - Parameter directory: Where it is, or will be made with its first certificate.
    package init(_ directory: String) { self.directory = directory }

    /// For clients that are to trust it.
    package var certificatePath: String { directory + "/ca.pem" }

    /// - Parameters:
    ///   - name: Of the files; one that is there stays as it is.
    ///   - subjects: Such as `IP:127.0.0.1` or `DNS:registry.example.com`.
    package func issue(_ name: String, for subjects: [String]) async throws -> Issued {
        let scripts = RunningStack.repository + "/Scripts"
        try await Command(["python3", "-B", "-c", Self.issue, scripts, directory, name] + subjects).run()
        return issued(name)
    }

    /// What was issued before.
    package func issued(_ name: String) -> Issued {
        Issued(certificatePath: "\(directory)/\(name).pem", keyPath: "\(directory)/\(name).key")
    }

    /// The serial of the certificate that a server shows to a new connection, which trusts this authority only.
    /// - Parameter address: `127.0.0.1:port`.
    package func servedSerial(_ address: String) async throws -> String {
        let ask = "openssl s_client -connect \(address) -CAfile \(certificatePath) -verify_return_error </dev/null"
        return try await Command(["sh", "-ec", "\(ask) 2>/dev/null | openssl x509 -noout -serial"]).run().text
            .serialNumber
    }

    private static func serial(of options: [String]) async throws -> String {
        try await Command(["openssl", "x509", "-noout", "-serial"] + options).run().text.serialNumber
    }
}

extension CertificateAuthority.Issued {
    /// Puts this pair in the place of another, key first: one file after the other, as certificate managers do.
    package func replace(_ other: CertificateAuthority.Issued) throws {
        for (new, old) in [(keyPath, other.keyPath), (certificatePath, other.certificatePath)] {
            let copy = old + ".new"
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.copyItem(atPath: new, toPath: copy)
            guard rename(copy, old) == 0 else { throw SystemFailure(description: "rename to \(old)") }
        }
    }
}

extension String {
    /// `serial=0A1B` → `0A1B`.
    fileprivate var serialNumber: String {
        trimmingCharacters(in: .whitespacesAndNewlines).components(separatedBy: "=").last ?? ""
    }
}
