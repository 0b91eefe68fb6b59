// SPDX-License-Identifier: Apache-2.0

import Disk
import Glibc
import OCI

/// What `login` keeps between commands, in a file that only its owner can read.
package struct StoredSettings: Sendable, Equatable {
    private static let bytesMax = 64 * 1024
    private static let folder = "depot-registry"
    private static let file = "config.json"
    private static let folderPermissions: UInt16 = 0o700
    private static let filePermissions: UInt16 = 0o600

    package var adminURL: String?
    /// Of `adminURL`, and sent nowhere else.
    package var token: String?
    package var organization: String?
    package var project: String?

    package init() {}

    /// Where the file is, by the rules of the XDG base directories: a relative folder counts as none.
    /// - Returns: `nil` if there is no home directory.
    package static func path(environment: [String: String]) -> String? {
        if let base = environment["XDG_CONFIG_HOME"], base.hasPrefix("/") { return "\(base)/\(folder)/\(file)" }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return "\(home)/.config/\(folder)/\(file)"
    }

    /// - Returns: No setting at all if there is no file.
    /// - Throws: `CommandFailure` if others can read or write the file, or it is not what `write` writes.
    package static func read(_ path: String) throws(CommandFailure) -> StoredSettings {
        let found: (permissions: UInt16, content: [UInt8])?
        do throws(DiskError) { found = try open(path) } catch {
            throw .failed("the stored settings cannot be read: \(error)")
        }
        guard let found else { return StoredSettings() }
        guard found.permissions & ~filePermissions == 0 else {
            let mode = String(found.permissions, radix: 8)
            throw .failed("others may open \(path), which holds a token (mode \(mode)): chmod 600 \(path)")
        }
        guard let document = try? BoundedJSON.parse(found.content, limits: JSONLimits(bytesMax: bytesMax)),
            document.objectValue != nil
        else { throw .failed("\(path) is not what `login` writes: mend it, or remove it and log in again") }
        var settings = StoredSettings()
        for (name, member) in members { settings[keyPath: member] = document[name]?.stringValue }
        return settings
    }

    /// Replaces the file, and makes its folder if need be.
    package func write(_ path: String) throws(CommandFailure) {
        let present = Self.members.compactMap { name, member in
            self[keyPath: member].map { JSONMember(name: name, value: .string($0)) }
        }
        do throws(DiskError) {
            try Directory.create(Directory.parent(of: path), permissions: Self.folderPermissions)
            try AtomicFile.write(
                JSONValue.object(present).encode() + [UInt8(ascii: "\n")], to: path, permissions: Self.filePermissions)
        } catch {
            throw .failed("the settings cannot be stored: \(error)")
        }
    }

    private static var members: [(name: String, member: WritableKeyPath<StoredSettings, String?>)] {
        [
            ("admin_url", \.adminURL), ("token", \.token), ("organization", \.organization), ("project", \.project),
        ]
    }

    private static func open(_ path: String) throws(DiskError) -> (permissions: UInt16, content: [UInt8])? {
        guard let file = try File.openIfExists(path, .read) else { return nil }
        let status = try file.status()
        guard status.sizeBytes <= bytesMax else { throw DiskError(call: "read", path: path, errno: EFBIG) }
        var content = [UInt8](repeating: 0, count: bytesMax)
        let count: Result<Int, DiskError> = content.withUnsafeMutableBytes { buffer in
            Result { () throws(DiskError) in try file.read(into: buffer, at: 0) }
        }
        content.removeSubrange(try count.get()...)
        return (status.permissions & 0o777, content)
    }
}
