// SPDX-License-Identifier: Apache-2.0

import Disk
import Hashing
import SignedURL

/// The name of this origin among others: given, or made once and kept in the data directory.
enum OriginIdentity {
    private static let fileBytesMax = 64

    /// - Throws: `DiskError`; `StartFailure` if the file does not hold a name.
    static func load(given: String?, dataDirectory: String) throws -> String {
        if let given { return given }
        let path = dataDirectory + "/origin-id"
        if try AtomicFile.read(path, bytesMax: fileBytesMax) == nil {
            _ = try AtomicFile.create(Array((SecureRandom.label(16) + "\n").utf8), at: path, permissions: 0o644)
        }
        let bytes = try AtomicFile.read(path, bytesMax: fileBytesMax) ?? []
        let name = String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
        guard Link.isLabel(name) else { throw StartFailure(path, UnusableName()) }
        return name
    }

    private struct UnusableName: Error, CustomStringConvertible {
        let description = "does not hold the name of an origin"
    }
}
