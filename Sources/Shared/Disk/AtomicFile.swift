// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Small files that are there whole or not at all: keys, credentials, ports. Written to a temporary name beside the
/// target, synced, then named. A crash leaves the old file or the new one, and at most a `.tmp` file to sweep.
package enum AtomicFile {
    /// Replaces the file, durably.
    /// - Parameter permissions: Of the file, regardless of the umask and of the mode of the file replaced.
    package static func write(
        _ bytes: [UInt8],
        to path: String,
        permissions: UInt16 = 0o640
    ) throws(DiskError) {
        try withTemporary(bytes, beside: path, permissions) { temporary throws(DiskError) in
            try Directory.rename(temporary, path)
        }
    }

    /// Creates the file, durably, unless the name is taken. Of several processes that try at once, one wins, and the
    /// losers find its file whole.
    /// - Returns: Whether this call created it.
    package static func create(
        _ bytes: [UInt8],
        at path: String,
        permissions: UInt16 = 0o640
    ) throws(DiskError) -> Bool {
        do throws(DiskError) {
            try withTemporary(bytes, beside: path, permissions) { temporary throws(DiskError) in
                // link(2) refuses a taken name, which rename(2) would replace.
                try system(.link, path) { link(temporary, path) }
                try Directory.remove(temporary)
            }
            return true
        } catch {
            if error.call == SystemCall.link.rawValue && error.errno == EEXIST { return false }
            throw error
        }
    }

    /// The whole file; `nil` if there is none.
    /// - Parameter bytesMax: A larger file is EFBIG, so that a wrong path does not fill the memory.
    package static func read(_ path: String, bytesMax: Int) throws(DiskError) -> [UInt8]? {
        guard let file = try File.openIfExists(path, .read) else { return nil }
        // One byte more than allowed, to tell "exactly the maximum" from "too large".
        var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(DiskError) in try file.read(into: buffer, at: 0) }
        }
        let count = try result.get()
        guard count <= bytesMax else { throw DiskError(call: "read", path: path, errno: EFBIG) }
        bytes.removeSubrange(count...)
        return bytes
    }

    private static func withTemporary(
        _ bytes: [UInt8],
        beside path: String,
        _ permissions: UInt16,
        _ publish: (_ temporary: String) throws(DiskError) -> Void
    ) throws(DiskError) {
        let temporary = "\(path).\(getpid()).\(String(UInt64.random(in: 0 ... .max), radix: 16)).tmp"
        do throws(DiskError) {
            let file = try File.open(temporary, .createExclusive, permissions: permissions & 0o600)
            let written: Result<Void, DiskError> = bytes.withUnsafeBytes { buffer in
                Result { () throws(DiskError) in try file.write(buffer, at: 0) }
            }
            try written.get()
            try file.setPermissions(permissions)
            try system(.fsync, temporary) { fsync(file.descriptor) }
            try publish(temporary)
        } catch {
            // The first error is the one to report; a temporary file that cannot be removed harms nobody.
            _ = try? Directory.remove(temporary)
            throw error
        }
        try Directory.sync(Directory.parent(of: path))
    }
}
