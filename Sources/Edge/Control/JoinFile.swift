// SPDX-License-Identifier: Apache-2.0

import Disk
package import EdgeProtocol

/// The file with the credential that `depot-origin edge create` printed.
package enum JoinFile {
    /// Reads the credential; white space around it is ignored. Blocks: for the start of the program.
    /// - Throws: `.credential`, with the path and what is wrong.
    package static func read(_ path: String) throws(EdgeControlError) -> JoinCredential {
        let content: [UInt8]?
        do throws(DiskError) {
            content = try AtomicFile.read(path, bytesMax: JoinCredential.textBytesMax)
        } catch {
            throw EdgeControlError(.credential, "the credential file cannot be read: \(error)")
        }
        guard let content else { throw EdgeControlError(.credential, "there is no credential file at \(path)") }
        let blanks = Set(" \t\r\n".utf8)
        var text = content.drop(while: blanks.contains)
        while let last = text.last, blanks.contains(last) { text = text.dropLast() }
        guard let credential = JoinCredential(String(decoding: text, as: UTF8.self)) else {
            throw EdgeControlError(
                .credential,
                "\(path) holds no join credential: put in what `depot-origin edge create` printed"
            )
        }
        return credential
    }
}
