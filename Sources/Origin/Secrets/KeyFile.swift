// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import Grammar
import Hashing

/// The key under which the deployment's secrets rest in PostgreSQL: 32 random bytes in a file outside it, as base64url.
/// All origins of a deployment have the same one. Whoever has both, file and database, has the secrets.
package struct KeyFile: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let key: [UInt8]
    private let path: String

    private static let keyBytes = 32
    private static let fileBytesMax = 256

    /// Reads the key, or makes one; of processes that do so at once, one makes it and all read it. Blocks on the disk.
    /// - Throws: `.keyFileExposed`, `.keyFileInvalid`, `.disk`.
    package static func loadOrCreate(_ path: String) throws(SecretsError) -> KeyFile {
        do throws(DiskError) {
            if try !Directory.exists(path) {
                let text = Base64URL.encode(SecureRandom.bytes(keyBytes)) + "\n"
                _ = try AtomicFile.create(Array(text.utf8), at: path, permissions: 0o600)
            }
        } catch {
            throw .disk(error)
        }
        return try load(path)
    }

    private static func load(_ path: String) throws(SecretsError) -> KeyFile {
        let status: FileStatus
        var bytes = [UInt8](repeating: 0, count: fileBytesMax)
        do throws(DiskError) {
            // Mode and bytes of one open file: nobody can exchange it in between.
            let file = try File.open(path, .read)
            status = try file.status()
            let count: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(DiskError) in try file.read(into: buffer, at: 0) }
            }
            bytes.removeSubrange(try count.get()...)
        } catch {
            throw .disk(error)
        }
        // Root may read everybody's files, and so may use them.
        guard status.permissions & 0o077 == 0, status.ownerID == geteuid() || geteuid() == 0 else {
            throw .keyFileExposed(path: path)
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        guard let key = Base64URL.decode(bytes), key.count == keyBytes else { throw .keyFileInvalid(path: path) }
        return KeyFile(key: key, path: path)
    }

    package var description: String { "KeyFile(\(path), [redacted])" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
