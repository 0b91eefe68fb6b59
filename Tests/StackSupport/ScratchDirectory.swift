// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A temporary folder that goes away with its owner.
package final class ScratchDirectory: Sendable {
    package let path: String

    /// - Parameter name: What it is for; part of the folder's name.
    package init(_ name: String) throws {
        // /var/tmp, because /tmp may be memory and tests move gigabytes.
        path = "/var/tmp/depot-\(name)-\(UUID().uuidString.prefix(8).lowercased())"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    package func path(_ name: String) -> String { "\(path)/\(name)" }

    package func url(_ name: String) -> URL { URL(filePath: path(name)) }

    /// A new sub-folder.
    package func folder(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
        return path(name)
    }
}
