// SPDX-License-Identifier: Apache-2.0

import Disk
import FoundationEssentials

/// Where the server's programs are.
struct ServerPrograms: Equatable {
    /// Holds `initdb` and `postgres`.
    let directory: String

    var initdb: String { directory + "/initdb" }
    var postgres: String { directory + "/postgres" }

    /// Debian keeps each major version in a directory of its own, outside `PATH`.
    private static let debianDirectory = "/usr/lib/postgresql"

    /// The programs of `majorVersion`, or the newest if that is `nil`.
    static func find(majorVersion: Int?) throws -> ServerPrograms {
        var versions: [Int] = []
        if try Directory.exists(debianDirectory) {
            try Directory.entries(debianDirectory) { name in if let version = Int(name) { versions.append(version) } }
        }
        for version in versions.sorted(by: >) where majorVersion == nil || version == majorVersion {
            let programs = ServerPrograms(directory: "\(debianDirectory)/\(version)/bin")
            if programs.areThere { return programs }
        }
        // Elsewhere the version is not in the path; a wrong one says so itself when it starts.
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for directory in path.split(separator: ":") {
            let programs = ServerPrograms(directory: String(directory))
            if programs.areThere { return programs }
        }
        let wanted = majorVersion.map { " of version \($0), which made the cluster," } ?? ""
        throw PrivatePostgresError(
            .noServer,
            "no server programs\(wanted) in \(debianDirectory) or PATH: install the package postgresql, "
                + "or pass a database URL")
    }

    private var areThere: Bool {
        [initdb, postgres].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
